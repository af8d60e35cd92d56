"""The field's baselines: one shared head over the union of all classes, trained by Avalanche's own strategies.

Such a head can answer only tasks that have classes; any other task is left out, and the outcome says so. At test
time it is told which classes the task has, and chooses among those.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from benchmarks.avalanche_home import avalanche_home
from ciao_stream.encoders.base import Level
from ciao_stream.encoders.encoded import EncodedFaces
from ciao_stream.faces.task import EMOTIONS, TaskSpec
from ciao_stream.metrics.answers import describe_answers
from ciao_stream.metrics.scores import evaluate
from ciao_stream.runtime.precision import autocast
from ciao_stream.runtime.seeds import derive_seed, numpy_generator, seeded_torch
from ciao_stream.worlds.settings import Settings
from ciao_stream.worlds.training import make_optimizer
from ciao_stream.worlds.world import World
from strategies.base.curve import LossCurve
from strategies.base.evaluation import silent_evaluator
from strategies.base.sequence import Job, Outcome, TaskOutcome

with avalanche_home():
    from avalanche.benchmarks import benchmark_from_datasets, with_classes_timeline, with_task_labels
    from avalanche.benchmarks.utils import DataAttribute, TaskAwareSupervisedClassificationDataset, TaskLabels
    from avalanche.core import SupervisedPlugin

EVAL_BATCH = 256
"""Faces per batch of evaluation."""


class SharedNet(nn.Module):
    """One world for all tasks, as a plain module for Avalanche's strategies."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def forward(self, x: Tensor) -> Tensor:
        """Return logits over the union of classes, float32."""
        with autocast(x.device):
            return self.world(x).float()


class SharedLabels(Dataset[tuple[Tensor, int]]):
    """Encoded faces whose targets are positions in the union of classes.

    Args:
        encoded: One split of a task with classes.
        labels: The union.
    """

    def __init__(self, encoded: EncodedFaces, labels: tuple[str, ...]) -> None:
        self.encoded = encoded
        self.columns = torch.tensor([labels.index(label) for label in encoded.faces.spec.labels])
        self.targets = self.columns[torch.from_numpy(encoded.faces.classes())].tolist()

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.encoded[index][0], self.targets[index]


@dataclass(frozen=True)
class SharedHead:
    """Runs one of Avalanche's strategies on a shared head.

    Args:
        make: Builds the Avalanche strategy from keyword arguments common to all of them.
        at_once: Whether it takes all tasks in one training (joint training).
    """

    make: Callable[..., Any]
    at_once: bool = False

    def level(self, masked: bool) -> Level:
        """What the shared world reads."""
        return "z" if masked else "u"

    def run(self, job: Job, masked: bool) -> Outcome:
        """Train on the tasks that have classes; R has NaN for the others and for moments that do not exist."""
        saved = job.folder / "progress.json"
        if saved.exists():
            return Outcome.load(saved)
        specs = [spec for spec in job.specs if spec.has_classes]
        reasons = {s.name: f"{s.kind} targets do not fit a shared class head" for s in job.specs if not s.has_classes}
        with seeded_torch(job.seed, "shared"):
            outcome = self._train(job, specs, masked) if specs else Outcome(_unmeasured(job))
        outcome.not_run = reasons
        outcome.save(saved)
        return outcome

    def _train(self, job: Job, specs: list[TaskSpec], masked: bool) -> Outcome:
        union = {label for spec in specs for label in spec.labels}
        labels = tuple(sorted(union, key=lambda label: (EMOTIONS.index(label) if label in EMOTIONS else 99, label)))
        settings = job.settings[specs[0].name]
        universal = TaskSpec("universal", "categorical", labels)
        world = World(universal, job.encoder, "dl", masked, settings, derive_seed(job.seed, "universal"))
        net = SharedNet(world).to(job.encoder.device)
        level = self.level(masked)
        train = [SharedLabels(_train_faces(job, spec, level), labels) for spec in specs]
        test = {spec.name: SharedLabels(job.faces(spec, "test", level), labels) for spec in specs}
        stream = _stream(train)
        told = EpochTold(job, specs)
        strategy = self._strategy(net, settings, told)
        outcome = Outcome(_unmeasured(job))
        outcome.matrix[0] = _row(job, _judge(test, _answer(net, test)))
        start = time.perf_counter()
        if self.at_once:
            strategy.train(stream, eval_streams=[], drop_last=_ends_in_one(train, settings.batch_size))
            seconds = [(time.perf_counter() - start) / len(specs)] * len(specs)
        else:
            seconds = []
            for spec, data, experience in zip(specs, train, stream, strict=True):
                strategy.train(experience, eval_streams=[], drop_last=_ends_in_one([data], settings.batch_size))
                seconds.append(time.perf_counter() - start - sum(seconds))
                outcome.matrix[job.specs.index(spec) + 1] = _row(job, _judge(test, _answer(net, test)))
        answers = _answer(net, test)
        results = _judge(test, answers)
        outcome.matrix[-1] = _row(job, results)
        outcome.tasks = [
            TaskOutcome(
                spec.name,
                results[spec.name],
                test[spec.name].encoded.faces.n_judged(),
                world.parameter_count(),
                seconds[i],
                world.sha256(),
                {
                    **told.curves[spec.name].details(settings.epochs),
                    **describe_answers(*_judged(test[spec.name], answers[spec.name])),
                },
            )
            for i, spec in enumerate(specs)
        ]
        world.save(job.folder / "universal", tasks=[spec.name for spec in specs], seed=job.seed)
        return outcome

    def _strategy(self, net: SharedNet, settings: Settings, told: EpochTold) -> Any:
        return self.make(
            model=net,
            optimizer=make_optimizer([*net.parameters()], settings),
            criterion=nn.CrossEntropyLoss(),
            train_mb_size=settings.batch_size,
            train_epochs=settings.epochs,
            eval_mb_size=EVAL_BATCH,
            device=net.world.device,
            plugins=[told],
            evaluator=silent_evaluator,
        )


class EpochTold(SupervisedPlugin):
    """Tells the job of every epoch and keeps its loss; one of joint training counts once for every task."""

    def __init__(self, job: Job, specs: list[TaskSpec]) -> None:
        super().__init__()
        self.job = job
        self.specs = specs
        self.curves = {spec.name: LossCurve() for spec in specs}

    def after_training_iteration(self, strategy: Any, **_: Any) -> None:
        """Note the loss that was minimised."""
        for spec in self._learned(strategy):
            self.curves[spec.name].add(len(strategy.mb_x), loss=strategy.loss.detach())

    def after_training_epoch(self, strategy: Any, **_: Any) -> None:
        """Tell."""
        for spec in self._learned(strategy):
            self.curves[spec.name].end_epoch()
            self.job.on_epoch(spec.name)

    def _learned(self, strategy: Any) -> list[TaskSpec]:
        joint = hasattr(strategy, "_experiences")
        return self.specs if joint else [self.specs[strategy.experience.current_experience]]


def _train_faces(job: Job, spec: TaskSpec, level: Level) -> EncodedFaces:
    """Return what a task is learned from; Avalanche keeps one list of samples, so balanced draws are made once."""
    faces = job.faces(spec, "train", level)
    if job.settings[spec.name].balanced:
        return faces.balanced(numpy_generator(job.seed, spec.name, "balanced"))
    return faces


def _stream(train: list[SharedLabels]) -> Any:
    sets = [
        TaskAwareSupervisedClassificationDataset(
            [data], data_attributes=[DataAttribute(data.targets, "targets"), TaskLabels([0] * len(data))]
        )
        for data in train
    ]
    return with_task_labels(with_classes_timeline(benchmark_from_datasets(train=sets))).train_stream


def _ends_in_one(train: list[SharedLabels], batch_size: int) -> bool:
    """Whether the last batch would hold a single sample: it has nothing to normalise with, and is left out."""
    n = sum(map(len, train))
    return n > batch_size > 1 and n % batch_size == 1


def _answer(net: SharedNet, test: dict[str, SharedLabels]) -> dict[str, Tensor]:
    """Return the outputs of each task's own classes."""
    net.eval()
    answers = {}
    for name, data in test.items():
        with torch.no_grad():
            outputs = [net(x.to(net.world.device)).cpu() for x, _ in data.encoded.batches(EVAL_BATCH)]
        answers[name] = torch.cat(outputs)[:, data.columns]
    return answers


def _judged(data: SharedLabels, outputs: Tensor) -> tuple[TaskSpec, Tensor, Any, Any]:
    faces = data.encoded.faces
    return faces.spec, outputs, faces.targets, faces.groups


def _judge(test: dict[str, SharedLabels], answers: dict[str, Tensor]) -> dict[str, dict[str, float]]:
    return {name: evaluate(*_judged(data, answers[name])) for name, data in test.items()}


def _unmeasured(job: Job) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.full((len(job.specs) + 1, len(job.specs)), np.nan)


def _row(job: Job, results: dict[str, dict[str, float]]) -> list[float]:
    return [results[spec.name][spec.primary] if spec.name in results else np.nan for spec in job.specs]
