"""Per-task strategies: each task trains a world of its own, and touches nothing else."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from benchmarks.avalanche_home import avalanche_home
from benchmarks.streams import build_benchmark
from ciao_stream.encoders.base import Encoder, Level
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.task import TaskSpec
from ciao_stream.runtime.atomic import write_bytes
from ciao_stream.runtime.seeds import derive_seed
from ciao_stream.worlds.losses import decision_loss
from ciao_stream.worlds.settings import HeadSettings, Settings
from ciao_stream.worlds.training import WorldLearner
from ciao_stream.worlds.world import Scheme, World, level_read
from ciao_stream.worlds.worlds import Worlds
from strategies.base.driver import Judged, Learner, LossCurve, run_sequence
from strategies.base.evaluation import TaskMetrics, silent_evaluator
from strategies.base.sequence import Job, Outcome, Predictor, SplitFaces

with avalanche_home():
    from avalanche.core import SupervisedPlugin
    from avalanche.training.templates import SupervisedTemplate

CHECKPOINT_EVERY_S = 30.0
"""Seconds of training between two checkpoints inside a task; a finished task is always kept."""

EVAL_BATCH = 256
"""Faces per batch of evaluation."""


class PerTaskStrategy(SupervisedTemplate):
    """An Avalanche strategy with one world per task over a frozen encoder.

    Avalanche's are the loops over experiences, epochs and evaluation batches, the streams, and the plugins with all
    their hooks. Ours are the batches, which come whole from the feature cache; the step, which is
    :meth:`ciao_stream.worlds.training.WorldLearner.step`; the metrics, which are those of the task's kind; and the
    model: the optimiser holds the current task's parameters only, no head is padded or grows, and evaluation creates
    nothing.

    Args:
        encoder: The shared frozen encoder.
        specs: The tasks. An experience belongs to the one whose name its faces bear.
        settings: Of each task, by name.
        masked: Whether each world has a CIAO mask.
        seed: Of initial weights, order of samples and dropout.
        on_epoch: Called with the name of the task after each epoch.
        plugins: Further Avalanche plugins.
    """

    scheme: ClassVar[Scheme]
    head: ClassVar[HeadSettings | None] = None
    also_reads: ClassVar[tuple[Level, ...]] = ()
    masks: ClassVar[bool] = True

    def __init__(
        self,
        *,
        encoder: Encoder,
        specs: Sequence[TaskSpec],
        settings: dict[str, Settings],
        masked: bool = False,
        seed: int = 0,
        on_epoch: Callable[[str], None] = lambda _: None,
        plugins: Sequence[Any] = (),
    ) -> None:
        self.worlds = Worlds(encoder)
        self.specs = tuple(specs)
        self.seed = seed
        self.task_metrics = TaskMetrics()
        self.learner: WorldLearner
        self.on_epoch = on_epoch
        self.curve = LossCurve()
        self.epoch = 0
        for spec in specs:
            world_seed = derive_seed(seed, spec.name)
            own = settings[spec.name]
            own = own if self.head is None else replace(own, head=self.head)
            self.worlds.add(spec, self.scheme, masked=masked, settings=own, seed=world_seed)
        super().__init__(
            model=nn.ModuleList(self.worlds.values()).to(encoder.device),
            optimizer=torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1),
            eval_mb_size=EVAL_BATCH,
            device=encoder.device,
            plugins=[self.task_metrics, *plugins],
            evaluator=silent_evaluator,
        )

    @classmethod
    def of(cls, scheme: Scheme, head: HeadSettings | None = None) -> type[PerTaskStrategy]:
        """Return the strategy whose worlds train what a scheme names, with this head instead of the settings'."""
        return type(f"{cls.__name__}({scheme})", (cls,), {"scheme": scheme, "head": head})

    @classmethod
    def level(cls, masked: bool) -> Level:
        """What the worlds of this strategy read."""
        return level_read(cls.scheme, masked)

    @classmethod
    def run(cls, job: Job, masked: bool) -> Outcome:
        """Learn the tasks one after another, each in its own world; measure R after each.

        A stopped run loads the worlds of finished tasks and resumes.
        """
        return run_sequence(job, partial(_WorldSequence, cls, masked=masked), reads=cls.level(masked))

    @classmethod
    def predictor(cls, job: Job, spec: TaskSpec, masked: bool) -> Predictor:  # noqa: ARG003
        """Return the predictions of the world that a finished run of the job left for a task.

        Raises:
            WorldError: As :meth:`ciao_stream.worlds.world.World.load`.
        """
        world = World.load(job.folder / spec.name, job.encoder)
        return lambda asked: world.predict_split(asked(world.level))

    @property
    def world(self) -> World:
        """The world of the current experience.

        Raises:
            UnknownNameError: There is none for its task.
        """
        return self.worlds[self.experience.faces.faces.spec.name]

    def check_model_and_optimizer(self, **_: Any) -> None:
        """Take up the current task: its world, a fresh learner, and its optimiser."""
        self.learner = WorldLearner(self.world)
        self.optimizer = self.learner.optimizers[-1]
        self.train_epochs = self.world.settings.epochs
        self.curve = LossCurve()
        self.epoch = 0

    def make_train_dataloader(self, **_: Any) -> None:
        """Leave the batches to :meth:`training_epoch`, which draws a new order for every epoch."""

    def make_eval_dataloader(self, **_: Any) -> None:
        """Read the experience in its own order, by whole batches."""
        self.dataloader = (self._labelled(x, y) for x, y in self.experience.faces.batches(self.eval_mb_size))

    def model_adaptation(self, model: nn.Module | None = None) -> nn.Module:
        """Return the model: it has every task's world from the start, and adapts to none."""
        return model or self.model

    def training_epoch(self, **kwargs: Any) -> None:
        """Train one epoch of the current task by :meth:`WorldLearner.fit`, with Avalanche's hooks around each step."""

        def step(x: Tensor, y: Tensor) -> None:
            self.mbatch = self._labelled(x, y)
            self._unpack_minibatch()
            self._before_training_iteration(**kwargs)
            losses = self.learner.step(self.mb_x, self.mb_y)
            self.loss = torch.tensor(losses.decision)
            self.curve.add(len(x), **asdict(losses))
            self._after_training_iteration(**kwargs)

        epochs = range(self.epoch, self.epoch + 1)
        self.learner.fit(self.experience.faces, self.seed, epochs=epochs, step=step)
        self.curve.end_epoch()
        self.epoch += 1
        self.on_epoch(self.world.spec.name)

    def forward(self) -> Tensor:
        """Return the outputs of the current batch in the current task's world."""
        return self.world.predict(self.mb_x)

    def criterion(self) -> Tensor:
        """Return the head's loss on the current batch."""
        return decision_loss(self.world.spec, self.mb_output, self.mb_y)

    def _labelled(self, x: Tensor, y: Tensor) -> list[Tensor]:
        return [x, y, torch.full((len(x),), self.experience.task_label)]


class EpochCheckpoint(SupervisedPlugin):
    """Saves the state of the task in training, so that a stopped run resumes inside the task.

    Args:
        path: The checkpoint; that of a finished task is ignored.
        every_s: Least seconds between two writes.
    """

    def __init__(self, path: Path, every_s: float) -> None:
        super().__init__()
        self.path = path
        self.every_s = every_s
        self.written = self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of training of the current task, those before an interruption included."""
        return time.monotonic() - self.started

    def before_training_exp(self, strategy: PerTaskStrategy, **_: Any) -> None:
        """Resume from the checkpoint, if it is of this task.

        Raises:
            CiaoError: The checkpoint is damaged.
        """
        self.started = time.monotonic()
        if not self.path.exists():
            return
        try:
            state = torch.load(self.path, weights_only=True, map_location=strategy.device)
            if state["task"] == strategy.world.spec.name:
                strategy.learner.load_state_dict(state["learner"])
                strategy.curve = LossCurve(state.get("curve", {}))
                strategy.epoch = state["epoch"]
                strategy.train_epochs -= state["epoch"]
                self.started -= state["seconds"]
        except (OSError, EOFError, LookupError, TypeError, ValueError, RuntimeError, UnpicklingError) as error:
            raise CiaoError(f"checkpoint {self.path} is damaged: delete it to learn its task again") from error

    def after_training_epoch(self, strategy: PerTaskStrategy, **_: Any) -> None:
        """Write the checkpoint when it is due."""
        if time.monotonic() - self.written < self.every_s:
            return
        buffer = io.BytesIO()
        state = {
            "task": strategy.world.spec.name,
            "epoch": strategy.epoch,
            "seconds": self.seconds,
            "learner": strategy.learner.state_dict(),
            "curve": strategy.curve.terms,
        }
        torch.save(state, buffer)
        write_bytes(self.path, buffer.getvalue())
        self.written = time.monotonic()


class _WorldSequence(Learner):
    """Drives a :class:`PerTaskStrategy` through the streams of an Avalanche benchmark.

    Every task is measured after each one: that worlds forget nothing is measured, not assumed.
    """

    isolated = False

    def __init__(self, kind: type[PerTaskStrategy], job: Job, masked: bool) -> None:
        level = kind.level(masked)
        self.job = job
        self.checkpoint = EpochCheckpoint(job.folder / "epoch.pt", CHECKPOINT_EVERY_S)
        self.strategy = kind(
            encoder=job.encoder,
            specs=job.specs,
            settings=job.settings,
            masked=masked,
            seed=job.seed,
            on_epoch=job.on_epoch,
            plugins=[self.checkpoint],
        )
        self.benchmark = build_benchmark(job.all_faces("train", level), job.all_faces("judged", level))
        self.curves: dict[str, dict[str, Any]] = {}

    def learn(self, spec: TaskSpec, faces: SplitFaces) -> None:  # noqa: ARG002
        self.strategy.train(self.benchmark.train_stream[self.job.specs.index(spec)], eval_streams=[])
        self.curves[spec.name] = self.strategy.curve.details(self.strategy.worlds[spec.name].settings.epochs)

    def outputs(self, spec: TaskSpec, faces: SplitFaces) -> Tensor:  # noqa: ARG002
        self.strategy.eval(self.benchmark.test_stream[self.job.specs.index(spec)])
        return self.strategy.task_metrics.outputs[spec.name]

    def sha256(self, spec: TaskSpec) -> str:
        return self.strategy.worlds[spec.name].sha256()

    def cost(self, spec: TaskSpec) -> dict[str, float]:
        parameters = self.strategy.worlds[spec.name].parameter_count()
        return {"trained_parameters": parameters, "train_seconds": self.checkpoint.seconds}  # also before a stop

    def details(self, spec: TaskSpec, judged: Judged) -> dict[str, Any]:
        return {**self.curves.get(spec.name, {}), **super().details(spec, judged)}

    def save(self, spec: TaskSpec) -> None:
        experience = self.benchmark.train_stream[self.job.specs.index(spec)]
        world = self.strategy.worlds[spec.name]
        world.save(self.job.folder / spec.name, samples=len(experience.faces), seed=self.job.seed)

    def load(self, spec: TaskSpec) -> None:
        finished = World.load(self.job.folder / spec.name, self.job.encoder)
        self.strategy.worlds[spec.name].load_state_dict(finished.state_dict())

    def finish(self) -> None:
        self.checkpoint.path.unlink(missing_ok=True)
