"""Baselines: one shared head over the union of all classes, trained by Avalanche's own strategies.

Such a head can only learn tasks with classes; others are not run, and the outcome gives the reason. In evaluation the
task is known, and the head chooses among its classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from benchmarks.avalanche_home import avalanche_home
from ciao_stream.encoders.base import Level
from ciao_stream.encoders.encoded import EncodedFaces
from ciao_stream.faces.task import EMOTIONS, TaskSpec
from ciao_stream.runtime.device import autocast
from ciao_stream.runtime.seeds import derive_seed, numpy_generator, seeded_torch
from ciao_stream.worlds.training import make_optimizer
from ciao_stream.worlds.world import World
from strategies.base.driver import Judged, Learner, LossCurve, Strategy
from strategies.base.evaluation import silent_evaluator
from strategies.base.sequence import Job, Outcome, SplitFaces

with avalanche_home():
    import avalanche.training
    from avalanche.benchmarks import benchmark_from_datasets, with_classes_timeline, with_task_labels
    from avalanche.benchmarks.utils import DataAttribute, TaskAwareSupervisedClassificationDataset, TaskLabels
    from avalanche.core import SupervisedPlugin
    from avalanche.training.plugins import ReplayPlugin
    from avalanche.training.storage_policy import ExperienceBalancedBuffer

EVAL_BATCH = 256
"""Faces per batch of evaluation."""

MEMORY = 500
"""Samples that the memory of replay keeps in all, shared evenly among the tasks seen."""


def avalanche_strategy(name: str, **fixed: Any) -> Callable[..., Any]:
    """Return the constructor of a strategy of ``avalanche.training``, with some of its arguments fixed."""
    return partial(getattr(avalanche.training, name), **fixed)


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
class SharedHead(Strategy):
    """Runs one of Avalanche's strategies on a shared head.

    Avalanche's are the strategy, its plugins, and the loops over the experiences, epochs and batches of its stream.
    Ours are the network, and the predictions, which keep to the classes of the task asked about.

    Args:
        make: Builds the Avalanche strategy from keyword arguments common to all of them.
        at_once: Whether it takes all tasks in one training (joint training).
    """

    make: Callable[..., Any]
    at_once: bool = False
    masks = True

    def learner(self, job: Job, masked: bool) -> Learner:
        """Return a learner whose head knows the classes of all tasks that have some."""
        return (_AtOnce if self.at_once else _OneByOne)(job, self, masked)

    def refuse(self, spec: TaskSpec) -> str:
        """Refuse tasks without classes."""
        return "" if spec.has_classes else f"{spec.kind} targets do not fit a shared class head"

    def run(self, job: Job, masked: bool) -> Outcome:
        """Learn the tasks of a job in order; all that Avalanche draws comes from one seeded generator."""
        with seeded_torch(job.seed, "shared"):
            return super().run(job, masked)


class _OneByOne(Learner):
    """Trains one head on the union of all classes, one experience after another."""

    isolated = False
    resumes = False

    def __init__(self, job: Job, shared: SharedHead, masked: bool) -> None:
        self.job = job
        self.specs = [spec for spec in job.specs if spec.has_classes]
        union = {label for spec in self.specs for label in spec.labels}
        labels = tuple(sorted(union, key=lambda label: (EMOTIONS.index(label) if label in EMOTIONS else 99, label)))
        self.settings = job.settings[self.specs[0].name]
        universal = TaskSpec("universal", "categorical", labels)
        seed = derive_seed(job.seed, "universal")
        self.world = World(universal, job.encoder, "dl", masked, self.settings, seed)
        self.net = SharedNet(self.world).to(job.encoder.device)
        self.train = [SharedLabels(_train_faces(job, spec, self.world.level), labels) for spec in self.specs]
        self.stream = _stream(self.train)
        self.epochs = Epochs(job, self.specs)
        self.strategy = shared.make(
            model=self.net,
            optimizer=make_optimizer([*self.net.parameters()], self.settings),
            criterion=nn.CrossEntropyLoss(),
            train_mb_size=self.settings.batch_size,
            train_epochs=self.settings.epochs,
            eval_mb_size=EVAL_BATCH,
            device=self.net.world.device,
            plugins=[self.epochs],
            evaluator=silent_evaluator,
        )

    def learn(self, spec: TaskSpec, faces: SplitFaces) -> None:  # noqa: ARG002
        index = self.specs.index(spec)
        self._train(self.stream[index], [self.train[index]])

    def outputs(self, spec: TaskSpec, faces: SplitFaces) -> Tensor:  # noqa: ARG002
        """Predict among the task's own classes."""
        return outputs_of(self.net, SharedLabels(faces(self.world.level), self.world.spec.labels))

    def sha256(self, spec: TaskSpec) -> str:  # noqa: ARG002
        return self.world.sha256()

    def cost(self, spec: TaskSpec) -> dict[str, float]:  # noqa: ARG002
        return {"trained_parameters": self.world.parameter_count()}

    def details(self, spec: TaskSpec, judged: Judged) -> dict[str, Any]:
        return {**self.epochs.curves[spec.name].details(self.settings.epochs), **super().details(spec, judged)}

    def save(self, spec: TaskSpec) -> None:  # noqa: ARG002
        self.world.save(self.job.folder / "universal", tasks=[spec.name for spec in self.specs], seed=self.job.seed)

    def _train(self, experiences: Any, data: list[SharedLabels]) -> None:
        self.strategy.train(experiences, eval_streams=[], drop_last=_ends_in_one(data, self.settings.batch_size))


class _AtOnce(_OneByOne):
    """Trains the head on all experiences together."""

    at_once = True

    def learn(self, spec: TaskSpec, faces: SplitFaces) -> None:  # noqa: ARG002
        """Train on the whole stream when the last task comes."""
        if spec is self.specs[-1]:
            self._train(self.stream, self.train)


class Epochs(SupervisedPlugin):
    """Reports every epoch to the job and keeps its loss; an epoch of joint training counts once for every task."""

    def __init__(self, job: Job, specs: list[TaskSpec]) -> None:
        super().__init__()
        self.job = job
        self.specs = specs
        self.curves = {spec.name: LossCurve() for spec in specs}

    def after_training_iteration(self, strategy: Any, **_: Any) -> None:
        """Add the loss of a batch."""
        for spec in self._learned(strategy):
            self.curves[spec.name].add(len(strategy.mb_x), loss=strategy.loss.detach())

    def after_training_epoch(self, strategy: Any, **_: Any) -> None:
        """Report the epoch."""
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
    """Whether the last batch would hold a single sample: it cannot be normalised, and is dropped."""
    n = sum(map(len, train))
    return n > batch_size > 1 and n % batch_size == 1


def outputs_of(net: SharedNet, data: SharedLabels) -> Tensor:
    """Return a shared head's outputs for the classes of a task, (N, n_out)."""
    net.eval()
    with torch.no_grad():
        outputs = [net(x.to(net.world.device)).cpu() for x, _ in data.encoded.batches(EVAL_BATCH)]
    return torch.cat(outputs)[:, data.columns]


class Balanced(ExperienceBalancedBuffer):
    """Keeps equally many samples of each experience; its own ``update`` calls a deprecated function, which warns."""

    def update(self, strategy: Any, **_: Any) -> None:
        """Take samples of the experience that was just learned."""
        self.post_adapt(strategy, strategy.experience)


def balanced_replay(plugins: list[Any], **common: Any) -> Any:
    """Build Avalanche's ``Replay``: ``Naive`` with its plugin."""
    plugin = ReplayPlugin(MEMORY, storage_policy=Balanced(MEMORY, adaptive_size=True))
    return avalanche.training.Naive(plugins=[*plugins, plugin], **common)
