"""What a strategy is given and what it returns: learn the tasks one after another, fill R."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ciao_stream.encoders.base import Encoder, Level
from ciao_stream.encoders.encoded import EncodedFaces
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.task import TaskSpec
from ciao_stream.metrics.scores import strict
from ciao_stream.runtime.atomic import write_text
from ciao_stream.worlds.settings import Settings
from strategies.base import Runner

JobSplit = Literal["train", "judged"]
"""``judged`` is the split that the results are measured on: test, or validation with ``--judge-on validation``."""

SplitFaces = Callable[[Level], EncodedFaces]
"""One split of one task at any level; the caller asks for the level that it reads."""

Predictor = Callable[[SplitFaces], Tensor]
"""Predicts a split: outputs (N, n_out) as a head gives them, on the CPU, in the order of its samples."""


@dataclass(frozen=True)
class Job:
    """One sequence to run: the tasks in order, with one seed.

    Args:
        specs: The tasks, in the order in which they are learned.
        faces: Gives a split of a task at a level.
        encoder: The shared frozen encoder.
        settings: The settings of each task, by name.
        seed: Seeds initial weights, order of samples and dropout.
        folder: Holds worlds and progress; finished tasks found there are not learned again.
        on_epoch: Called with the name of the task after each epoch of training.
    """

    specs: tuple[TaskSpec, ...]
    faces: Callable[[TaskSpec, JobSplit, Level], EncodedFaces]
    encoder: Encoder
    settings: dict[str, Settings]
    seed: int
    folder: Path
    on_epoch: Callable[[str], None]

    def all_faces(self, split: JobSplit, level: Level) -> list[EncodedFaces]:
        """Return one split of every task."""
        return [self.faces(spec, split, level) for spec in self.specs]


@dataclass(frozen=True)
class TaskOutcome:
    """How one task ended.

    Args:
        task: Name of the task.
        metrics: On the judged split, after the last task.
        n: Samples that they were computed on.
        cost: What learning the task cost: ``trained_parameters``, ``train_seconds``, and whatever else the strategy
            reports.
        state_sha256: Hash of what was learned.
        details: More about the same predictions (:func:`ciao_stream.metrics.answers.describe_answers`) and, under
            ``curve``, the losses of each epoch; for the report, may be empty.
    """

    task: str
    metrics: dict[str, float]
    n: int
    cost: dict[str, float]
    state_sha256: str
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def trained_parameters(self) -> int:
        """Number of parameters that training moved."""
        return int(self.cost["trained_parameters"])

    @property
    def train_seconds(self) -> float:
        """Seconds of training."""
        return self.cost["train_seconds"]

    def to_json(self) -> dict[str, Any]:
        """Return strict JSON values: costs by their own names, undefined metrics as null."""
        data = asdict(self) | {"metrics": strict(self.metrics)}
        return data | data.pop("cost")

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TaskOutcome:
        """Rebuild what :meth:`to_json` returned."""
        own = {key: data[key] for key in ("task", "n", "state_sha256", "details")}
        metrics = {name: float("nan") if value is None else value for name, value in data["metrics"].items()}
        cost = {key: value for key, value in data.items() if key not in own and key != "metrics"}
        if not {"trained_parameters", "train_seconds"} <= cost.keys():
            raise ValueError("a cost is missing")
        return cls(**own, metrics=metrics, cost=cost)


@dataclass
class Outcome:
    """What a sequence gave.

    Args:
        matrix: R, float64 (T + 1, T): the primary metric of task j after training task i; row 0 is before any. NaN
            where nothing was measured.
        tasks: One outcome per task that ran.
        not_run: The reason, for each task that this strategy cannot run.
    """

    matrix: npt.NDArray[np.float64]
    tasks: list[TaskOutcome] = field(default_factory=list)
    not_run: dict[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the outcome as strict JSON; values that are not numbers become null."""
        rows = [[None if np.isnan(v) else float(v) for v in row] for row in self.matrix]
        document = {"matrix": rows, "tasks": [task.to_json() for task in self.tasks], "not_run": self.not_run}
        write_text(path, json.dumps(document, allow_nan=False, indent=1))

    @classmethod
    def load(cls, path: Path) -> Outcome:
        """Read what :meth:`save` wrote.

        Raises:
            CiaoError: The file is damaged.
        """
        try:
            data: dict[str, Any] = json.loads(path.read_text())
            tasks = [TaskOutcome.from_json(task) for task in data["tasks"]]
            return cls(np.array(data["matrix"], dtype=np.float64), tasks, data["not_run"])
        except (OSError, LookupError, TypeError, ValueError) as error:
            raise CiaoError(f"{path} is damaged: delete its folder to run that strategy and seed again") from error


@runtime_checkable
class Predicts(Protocol):
    """A :class:`Runner` that learns each task separately and can predict other tasks' faces, too."""

    def predictor(self, job: Job, spec: TaskSpec, masked: bool) -> Predictor:
        """Return what a finished run of the job learned for a task."""
        ...


def levels_read(strategy: Runner, masked: bool) -> set[Level]:
    """Return all levels that a strategy reads."""
    return {strategy.level(masked), *strategy.also_reads}
