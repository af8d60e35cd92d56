"""One line of a benchmark: how one strategy did on one task with one seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import SPLITS, Split
from ciao_stream.report import columns


@dataclass(frozen=True)
class RunRow:
    """How one strategy did on one task with one seed, after all training.

    Args:
        strategy: Name of the strategy (``dl+ciao``).
        task: Name of the task.
        seed: Seed of the run.
        split: ``train``, ``validation`` or ``test``.
        n: Samples scored, after groups were merged.
        metrics: As :func:`ciao_stream.metrics.scores.evaluate` gives them; NaN means undefined.
        primary: Name of the metric that judges the task, one of ``metrics``.
        cost: What the task cost: ``trained_parameters``, numbers that training could change; ``encode_seconds``, 0 if
            its faces came from the cache; ``train_seconds``, without encoding; and whatever else the strategy reports.
            JSON has those that are in :data:`ciao_stream.report.columns.COLUMNS`.
        state_sha256: Digest of the trained state, equal for equal runs; None where the strategy has none.
        details: What :mod:`ciao_stream.metrics.answers` gives, and ``curve``; empty if it was not recorded.

    Raises:
        CiaoError: A field is out of range; the message names the row.
    """

    strategy: str
    task: str
    seed: int
    split: Split
    n: int
    metrics: dict[str, float]
    primary: str
    cost: dict[str, float]
    state_sha256: str | None = None
    details: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems = []
        if self.split not in SPLITS:
            problems.append(f"split {self.split!r} is none of {', '.join(SPLITS)}")
        if self.n < 1:
            problems.append(f"n = {self.n} samples")
        if self.primary not in self.metrics:
            problems.append(f"no metric {self.primary!r} among {', '.join(self.metrics) or 'none'}")
        if any(math.isinf(value) for value in self.metrics.values()):
            problems.append("a metric is infinite")
        if missing := [column.key for column in columns.COLUMNS if column.required and column.key not in self.cost]:
            problems.append(f"no {', '.join(missing)}")
        for name, value in self.cost.items():
            if not (math.isfinite(value) and value >= 0):
                problems.append(f"{name}: expected a number from 0 but got {value}")
        if problems:
            raise CiaoError(f"run {self.strategy}, {self.task}, seed {self.seed}: {'; '.join(problems)}")

    @property
    def value(self) -> float:
        """The primary metric; higher is better."""
        return self.metrics[self.primary]

    @property
    def trained_parameters(self) -> int:
        """Numbers that training could change."""
        return int(self.cost["trained_parameters"])

    @property
    def train_seconds(self) -> float:
        """Time to train, without encoding."""
        return self.cost["train_seconds"]

    @property
    def key(self) -> tuple[str, str, int, str]:
        """What no two rows of a document share: strategy, task, seed, split."""
        return self.strategy, self.task, self.seed, self.split

    def to_json(self) -> dict[str, Any]:
        """Return the row as strict JSON values, NaN as null; :meth:`from_json` is its inverse."""
        # numpy's numbers are welcome, JSON knows only Python's
        return {
            "strategy": self.strategy,
            "task": self.task,
            "seed": int(self.seed),
            "split": self.split,
            "n": int(self.n),
            "metrics": {name: None if math.isnan(value) else float(value) for name, value in self.metrics.items()},
            "primary": self.primary,
            **{column.key: column.type(self.cost[column.key]) for column in columns.COLUMNS if column.key in self.cost},
            "state_sha256": self.state_sha256,
            "details": self.details,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunRow:
        """Rebuild a row written by :meth:`to_json`.

        Raises:
            CiaoError: A field is missing, unknown or out of range.
        """
        try:
            metrics = {name: math.nan if value is None else float(value) for name, value in data["metrics"].items()}
            cost = {column.key: data[column.key] for column in columns.COLUMNS if column.key in data}
            own = {name: value for name, value in data.items() if name not in cost}
            return cls(**{**own, "metrics": metrics, "cost": cost})
        except CiaoError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CiaoError(f"not a run of a results document: {error}") from error
