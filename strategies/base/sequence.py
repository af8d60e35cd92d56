"""What every strategy is asked to do, and what it answers: learn the tasks one after another and fill R."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ciao_stream.encoders.base import Encoder, Level
from ciao_stream.encoders.encoded import EncodedFaces
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import Split
from ciao_stream.faces.task import TaskSpec
from ciao_stream.metrics.scores import strict
from ciao_stream.runtime.atomic import write_text
from ciao_stream.worlds.settings import Settings


@dataclass(frozen=True)
class Job:
    """One sequence to run: the tasks in order, with one seed.

    Args:
        specs: The tasks, in the order in which they are learned.
        faces: Gives each task's split at a level; ``test`` is what R is measured on.
        encoder: The shared frozen encoder.
        settings: Of each task, by name.
        seed: Of initial weights, order of samples and dropout.
        folder: Where worlds and progress are kept; what is there already is not learned again.
        on_epoch: Called with the name of the task after each epoch of training.
        unlabelled: Gives a task's training faces without a label at a level; None where all have one.
    """

    specs: tuple[TaskSpec, ...]
    faces: Callable[[TaskSpec, Split, Level], EncodedFaces]
    encoder: Encoder
    settings: dict[str, Settings]
    seed: int
    folder: Path
    on_epoch: Callable[[str], None]
    unlabelled: Callable[[TaskSpec, Level], EncodedFaces] | None = None

    def all_faces(self, split: Split, level: Level) -> list[EncodedFaces]:
        """Return one split of every task."""
        return [self.faces(spec, split, level) for spec in self.specs]


@dataclass(frozen=True)
class TaskOutcome:
    """How one task ended: its metrics on the test split after the last task, and its cost.

    ``details`` says more of the same answers (:func:`ciao_stream.metrics.answers.describe_answers`) and, under
    ``curve``, how the losses fell; both are for the report, and may be missing.
    """

    task: str
    metrics: dict[str, float]
    n: int
    trained_parameters: int
    train_seconds: float
    state_sha256: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass
class Outcome:
    """What a sequence gave.

    Args:
        matrix: R, float64 (T + 1, T): the primary metric of task j after training task i; row 0 is before any.
        tasks: One outcome per task that ran.
        not_run: Why, for each task that this strategy cannot run.
    """

    matrix: npt.NDArray[np.float64]
    tasks: list[TaskOutcome] = field(default_factory=list)
    not_run: dict[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the outcome as strict JSON; values that are not numbers become null."""
        rows = [[None if np.isnan(v) else float(v) for v in row] for row in self.matrix]
        tasks = [asdict(t) | {"metrics": strict(t.metrics)} for t in self.tasks]
        write_text(
            path, json.dumps({"matrix": rows, "tasks": tasks, "not_run": self.not_run}, allow_nan=False, indent=1)
        )

    @classmethod
    def load(cls, path: Path) -> Outcome:
        """Read what :meth:`save` wrote.

        Raises:
            CiaoError: The file is damaged.
        """
        try:
            data: dict[str, Any] = json.loads(path.read_text())
            tasks = [
                TaskOutcome(**t | {"metrics": {k: float("nan") if v is None else v for k, v in t["metrics"].items()}})
                for t in data["tasks"]
            ]
            return cls(np.array(data["matrix"], dtype=np.float64), tasks, data["not_run"])
        except (OSError, LookupError, TypeError, ValueError) as error:
            raise CiaoError(f"{path} is damaged: delete its folder to run that strategy and seed anew") from error


Asked = Callable[[Level], EncodedFaces]
"""Gives one split, of whichever task, at the level that is asked for."""

Predictor = Callable[[Asked], Tensor]
"""Answers for a split: outputs (N, n_out) as a head gives them, on the CPU, in the order of its samples."""


class Runner(Protocol):
    """What a strategy's module offers under the name ``STRATEGY``.

    One that reads further levels beside :meth:`level` names them in an attribute ``also_reads``, a tuple. One that
    learns each task by itself may offer a method ``predictor(job, spec, masked)``, which returns what a finished
    :meth:`run` of the job left for a task as a :data:`Predictor`: it can then be asked about other tasks' faces.
    """

    def level(self, masked: bool) -> Level:
        """What the strategy reads, so that it can be encoded beforehand."""
        ...

    def run(self, job: Job, masked: bool) -> Outcome:
        """Run one sequence."""
        ...


def levels_read(strategy: Runner, masked: bool) -> set[Level]:
    """Return all levels that a strategy reads."""
    return {strategy.level(masked), *getattr(strategy, "also_reads", ())}
