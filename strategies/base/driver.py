"""The driver of all strategies: learn the tasks in order, measure R, record costs, save progress, resume.

A strategy provides a :class:`Learner`, which learns a task and predicts; :func:`run_sequence` does everything else. The
smallest strategy is one file of 20 lines: see ``tests/strategies/test_driver.py``.
"""

from __future__ import annotations

import hashlib
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ciao_stream.encoders.base import Level
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import FaceDataset
from ciao_stream.faces.task import TaskSpec
from ciao_stream.metrics.answers import describe_answers
from ciao_stream.metrics.scores import evaluate
from strategies.base.sequence import Job, Outcome, SplitFaces, TaskOutcome


@dataclass(frozen=True, eq=False)
class Judged:
    """What the metrics of a task are computed from.

    Args:
        faces: The judged split.
        outputs: Predictions for it, (N, n_out).
    """

    faces: FaceDataset
    outputs: Tensor

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The metrics: see :func:`ciao_stream.metrics.scores.evaluate`."""
        return evaluate(self.faces.spec, self.outputs, self.faces.targets, self.faces.groups)

    def describe(self) -> dict[str, Any]:
        """Return confusion, calibration or points: see :mod:`ciao_stream.metrics.answers`."""
        return describe_answers(self.faces.spec, self.outputs, self.faces.targets, self.faces.groups)


class Learner(ABC):
    """Learns the tasks of one job, one at a time."""

    isolated: ClassVar[bool] = True
    """Whether learning a task leaves the predictions for all other tasks unchanged. If so, only the task that was
    learned is measured; if not, all tasks are."""
    resumes: ClassVar[bool] = True
    """Whether a stopped sequence resumes after its last finished task; otherwise it starts again."""
    at_once: ClassVar[bool] = False
    """Whether nothing is learned before :meth:`learn` is called for the last task, as in joint training."""

    @abstractmethod
    def learn(self, spec: TaskSpec, faces: SplitFaces) -> None:
        """Learn a task from its training faces. Call the job's ``on_epoch`` after every epoch, or never."""

    @abstractmethod
    def outputs(self, spec: TaskSpec, faces: SplitFaces) -> Tensor:
        """Predict the judged split of a task, learned or not: outputs (N, n_out), on the CPU. Changes no state."""

    @abstractmethod
    def sha256(self, spec: TaskSpec) -> str:
        """Return a hash of what was learned of a task."""

    @abstractmethod
    def cost(self, spec: TaskSpec) -> dict[str, float]:
        """Return what learning a task cost: ``trained_parameters``, and any other number to report.

        ``train_seconds`` is the time that :meth:`learn` took, unless it is given here.
        """

    def details(self, spec: TaskSpec, judged: Judged) -> dict[str, Any]:  # noqa: ARG002
        """Return what the report shows of a task besides its metrics."""
        return judged.describe()

    def save(self, spec: TaskSpec) -> None:  # noqa: B027
        """Write what was learned of a task to the job's folder; called before the progress is written."""

    def load(self, spec: TaskSpec) -> None:  # noqa: B027
        """Read what :meth:`save` wrote. Called for each finished task of a resumed sequence, unless isolated."""

    def finish(self) -> None:  # noqa: B027
        """Remove temporary files; called once the whole sequence is on disk."""


class ArrayLearner(Learner):
    """A learner whose knowledge of a task is a list of arrays: hash and size are computed from them."""

    @abstractmethod
    def arrays(self, spec: TaskSpec) -> Sequence[npt.NDArray[Any]]:
        """Return what was learned of a task."""

    def sha256(self, spec: TaskSpec) -> str:
        """Return a hash of the arrays' bytes."""
        return hashlib.sha256(b"".join(array.tobytes() for array in self.arrays(spec))).hexdigest()

    def cost(self, spec: TaskSpec) -> dict[str, float]:
        """Return the number of the arrays' elements as ``trained_parameters``."""
        return {"trained_parameters": sum(array.size for array in self.arrays(spec))}


class Strategy(ABC):
    """A strategy of the benchmark: which faces it reads, which tasks it can learn, and its learner."""

    reads: Level = "u"
    """What it reads without a mask; with one it reads ``z``."""
    also_reads: tuple[Level, ...] = ()
    """Levels that it reads as well."""
    masks: bool = False
    """Whether it can have a mask."""
    deterministic: bool = False
    """Whether every seed gives the same numbers."""

    @abstractmethod
    def learner(self, job: Job, masked: bool) -> Learner:
        """Return a learner that has learned nothing yet."""

    def level(self, masked: bool) -> Level:
        """Return the level that the strategy reads."""
        return "z" if masked else self.reads

    def refuse(self, spec: TaskSpec) -> str:  # noqa: ARG002
        """Return the reason why a task cannot be learned; empty if it can."""
        return ""

    def run(self, job: Job, masked: bool) -> Outcome:
        """Learn the tasks of a job in order.

        Raises:
            CiaoError: ``masked`` is set and the strategy has no mask, or a file of a stopped sequence is damaged.
        """
        if masked and not self.masks:
            raise CiaoError(f"{type(self).__name__} has no mask: run it with masked=False")
        return run_sequence(job, partial(self.learner, masked=masked), reads=self.level(masked), refuse=self.refuse)


def run_sequence(
    job: Job, make: Callable[[Job], Learner], *, reads: Level, refuse: Callable[[TaskSpec], str] = lambda _: ""
) -> Outcome:
    """Run the sequence of a job, or what is left of it.

    Args:
        job: The job.
        make: Makes the learner from the job; called only if a task is left to learn.
        reads: The level at which faces are encoded.
        refuse: Returns the reason why a task cannot be learned; empty if it can.

    Returns:
        The outcome, which is also written to ``progress.json`` in the job's folder.

    Raises:
        CiaoError: A file of a stopped sequence is damaged.
    """
    path = job.folder / "progress.json"
    if path.exists():
        outcome = Outcome.load(path)
    else:
        unmeasured = np.full((len(job.specs) + 1, len(job.specs)), np.nan)
        outcome = Outcome(unmeasured, not_run={spec.name: why for spec in job.specs if (why := refuse(spec))})
    ended = {task.task for task in outcome.tasks} | outcome.not_run.keys()
    if left := [spec for spec in job.specs if spec.name not in ended]:
        _Sequence(job, make, reads, outcome).learn(left, path)
    elif not path.exists():
        outcome.save(path)
    return outcome


class _Sequence:
    """A sequence in progress, with at least one task left to learn."""

    def __init__(self, job: Job, make: Callable[[Job], Learner], reads: Level, outcome: Outcome) -> None:
        self.job = job
        self.reads = reads
        self.outcome = outcome
        self.specs = [spec for spec in job.specs if spec.name not in outcome.not_run]
        self.epochs = 0
        self.learner = make(replace(job, on_epoch=self._on_epoch))
        missing = len(job.specs) + 1 - len(outcome.matrix)  # earlier versions saved measured rows only
        outcome.matrix = np.pad(outcome.matrix, ((0, missing), (0, 0)), constant_values=np.nan)

    def learn(self, left: Sequence[TaskSpec], path: Path) -> None:
        """Learn the tasks that are left and write the progress to ``path``."""
        learner, waiting, seconds = self.learner, list[TaskSpec](), 0.0
        if not learner.isolated:
            self._begin()
        for spec in left:
            if learner.isolated:
                self._measure(spec, slice(self.job.specs.index(spec) + 1))
            start = time.perf_counter()
            learner.learn(spec, partial(self.job.faces, spec, "train"))
            seconds += time.perf_counter() - start
            waiting.append(spec)
            last = spec is left[-1]
            if last or not learner.at_once:
                self._record(waiting, seconds / len(waiting))
                waiting, seconds = [], 0.0
            if last and not learner.isolated:
                self.outcome.matrix[-1] = self.outcome.matrix[self._row(spec)]
            if last or learner.resumes:
                learner.save(spec)
                self.outcome.save(path)
        learner.finish()

    def _begin(self) -> None:
        """Load what was learned before the sequence was stopped, or measure the first row of R."""
        try:
            for spec in self.specs[: len(self.outcome.tasks)]:
                self.learner.load(spec)
        except CiaoError as error:
            raise CiaoError(f"{error}; delete {self.job.folder} to run that strategy and seed again") from error
        for spec in [] if self.outcome.tasks else self.specs:
            self._measure(spec, slice(1))

    def _record(self, learned: Sequence[TaskSpec], seconds: float) -> None:
        """Add the outcomes of tasks that were just learned, and measure all that may have changed."""
        learner, row = self.learner, self._row(learned[-1])
        for spec in learned:
            cost = {"train_seconds": seconds, **learner.cost(spec)}
            self.outcome.tasks.append(TaskOutcome(spec.name, {}, 0, cost, ""))
        if not self.epochs:
            for spec in learned:
                for _ in range(self.job.settings[spec.name].epochs):
                    self.job.on_epoch(spec.name)
        self.epochs = 0
        rows = slice(row, None if learner.isolated else row + 1)
        judged = {spec.name: self._measure(spec, rows) for spec in (learned if learner.isolated else self.specs)}
        specs = {spec.name: spec for spec in self.specs}
        self.outcome.tasks = [
            replace(
                task,
                metrics=judged[task.task].metrics,
                n=judged[task.task].faces.n_judged(),
                state_sha256=learner.sha256(specs[task.task]),
                details={**task.details, **learner.details(specs[task.task], judged[task.task])},
            )
            if task.task in judged
            else task
            for task in self.outcome.tasks
        ]

    def _measure(self, spec: TaskSpec, rows: slice) -> Judged:
        """Predict the judged split of a task, and write the primary metric into its column of R."""
        faces = self.job.faces(spec, "judged", self.reads).faces
        judged = Judged(faces, self.learner.outputs(spec, partial(self.job.faces, spec, "judged")))
        self.outcome.matrix[rows, self.job.specs.index(spec)] = judged.metrics[spec.primary]
        return judged

    def _row(self, spec: TaskSpec) -> int:
        """Return the row of R that is measured after a task."""
        return len(self.job.specs) if self.learner.at_once else self.job.specs.index(spec) + 1

    def _on_epoch(self, task: str) -> None:
        self.epochs += 1
        self.job.on_epoch(task)


class LossCurve:
    """Collects the mean of each term of the loss over the samples of each epoch.

    Args:
        terms: Of earlier epochs, by term, when a training is resumed.
    """

    def __init__(self, terms: Mapping[str, list[float]] | None = None) -> None:
        self.terms: dict[str, list[float]] = {name: [*values] for name, values in (terms or {}).items()}
        self._sums: dict[str, float | Tensor] = {}
        self._samples = 0

    def add(self, samples: int, **losses: float | Tensor | None) -> None:
        """Add one batch: each term's mean over the batch, None for a term that does not exist.

        A tensor is added up where it is, to avoid waiting for a GPU.
        """
        self._samples += samples
        for name, loss in losses.items():
            if loss is not None:
                self._sums[name] = self._sums.get(name, 0.0) + samples * loss

    def end_epoch(self) -> None:
        """Close an epoch."""
        for name, total in self._sums.items():
            self.terms.setdefault(name, []).append(float(total) / self._samples)
        self._sums, self._samples = {}, 0

    def details(self, epochs: int) -> dict[str, Any]:
        """Return ``{"curve": {term: [mean loss of each epoch, or None where it was not finite]}}``.

        Empty if an epoch is missing, as in a training that an earlier version began.
        """
        if not self.terms or any(len(values) != epochs for values in self.terms.values()):
            return {}
        return {"curve": {name: [_rounded(value) for value in values] for name, values in self.terms.items()}}


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
