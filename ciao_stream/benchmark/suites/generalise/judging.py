"""What was learned from each task, evaluated on the faces of all tasks."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ciao_stream.benchmark.cells import Cell, Outcomes, job_of
from ciao_stream.benchmark.plan import Plan
from ciao_stream.encoders.base import Encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import TaskData
from ciao_stream.metrics.scores import evaluate, strict
from ciao_stream.runtime.atomic import write_text
from ciao_stream.runtime.progress import SILENT, Progress
from strategies import load_strategy
from strategies.base.sequence import Job, Predictor, Predicts, TaskOutcome

FORMAT = "ciao_stream/zero-shot/1"
FILE = "zero_shot.json"
"""Beside the world of the task that was trained on."""


@dataclass(frozen=True)
class Judged:
    """How well what a strategy learned from one task, with one seed, predicts another task or its own.

    Args:
        strategy: The strategy's name.
        train: The task that was learned.
        test: The task that is predicted.
        seed: Seed of the run.
        n: Samples scored, after groups were merged.
        metrics: As :func:`ciao_stream.metrics.scores.evaluate` gives them; NaN means undefined.
        trained_parameters: Numbers that training could change.
        train_seconds: Time to train.
        state_sha256: Digest of what was learned.
    """

    strategy: str
    train: str
    test: str
    seed: int
    n: int
    metrics: Mapping[str, float]
    trained_parameters: int
    train_seconds: float
    state_sha256: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as strict JSON values, NaN as null."""
        return asdict(self) | {"metrics": strict(self.metrics)}


class Scored(NamedTuple):
    """The metrics of predictions of one task."""

    n: int
    metrics: Mapping[str, float]


def require_predictors(strategies: Sequence[str]) -> None:
    """Refuse strategies that cannot predict other tasks' faces.

    Raises:
        CiaoError: One cannot.
    """
    lacking = [name for name in strategies if not isinstance(load_strategy(name)[0], Predicts)]
    if lacking:
        raise CiaoError(f"suite generalise cannot run {', '.join(lacking)}: what it learns is of no single task")


def judge(
    plan: Plan, encoder: Encoder, tasks: Sequence[TaskData], outcomes: Outcomes, progress: Progress = SILENT
) -> list[Judged]:
    """Evaluate what each cell learned from each task on the faces of every task.

    The metrics are kept next to what was learned, and read from there the next time.

    Args:
        plan: The plan, whose cells have run.
        encoder: The encoder.
        tasks: The tasks, all with the same classes.
        outcomes: What the cells gave.
        progress: Shows the progress.

    Raises:
        CiaoError: What a cell left is damaged.
    """
    tasks, judged = [*tasks], []
    specs = {task.spec.name: task.spec for task in tasks}
    with progress.bar("judge", sum(len(outcome.tasks) for outcome in outcomes.values())) as bar:
        for cell, outcome in outcomes.items():
            strategy, masked = load_strategy(cell.strategy)
            job = job_of(plan, encoder, tasks, cell)
            assert isinstance(strategy, Predicts)  # as require_predictors has checked
            for learned in outcome.tasks:
                bar.advance(0, f"judge {cell.strategy}, {learned.task}, seed {cell.seed}")
                path = job.folder / learned.task / FILE
                scores = _kept(path, learned.state_sha256)
                if scores is None:
                    scores = _scored(job, strategy.predictor(job, specs[learned.task], masked))
                    _keep(path, learned.state_sha256, scores)
                judged += [_judged(cell, learned, test, scored) for test, scored in scores.items()]
                bar.advance()
    return judged


def _scored(job: Job, predictor: Predictor) -> dict[str, Scored]:
    """Predict every task and compute the metrics."""
    scores = {}
    for spec in job.specs:
        outputs = predictor(functools.partial(job.faces, spec, "judged"))
        test = job.faces(spec, "judged", "pixels").faces
        scores[spec.name] = Scored(test.n_judged(), evaluate(spec, outputs, test.targets, test.groups))
    return scores


def _judged(cell: Cell, learned: TaskOutcome, test: str, scored: Scored) -> Judged:
    return Judged(
        cell.strategy, learned.task, test, cell.seed, scored.n, scored.metrics, learned.trained_parameters,
        learned.train_seconds, learned.state_sha256,
    )  # fmt: skip


def _keep(path: Path, state_sha256: str, scores: Mapping[str, Scored]) -> None:
    tests = {name: {"n": scored.n, "metrics": strict(scored.metrics)} for name, scored in scores.items()}
    document = {"format": FORMAT, "state_sha256": state_sha256, "tests": tests}
    write_text(path, json.dumps(document, indent=1, allow_nan=False))


def _kept(path: Path, state_sha256: str) -> dict[str, Scored] | None:
    """Return what was kept of the same state, None where there is nothing."""
    try:
        document = json.loads(path.read_text())
        if (document["format"], document["state_sha256"]) != (FORMAT, state_sha256):
            return None
        return {
            name: Scored(int(kept["n"]), {k: math.nan if v is None else float(v) for k, v in kept["metrics"].items()})
            for name, kept in document["tests"].items()
        }
    except FileNotFoundError:
        return None
    except (OSError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise CiaoError(f"{path} is damaged: delete it to evaluate again") from error
