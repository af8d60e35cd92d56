"""One line of a benchmark: how one strategy did on one task with one seed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import SPLITS, Split


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
        trained_parameters: Numbers that training could change for this task.
        encode_seconds: Time to encode the task's faces; 0 when they came from the cache.
        train_seconds: Time to train this task, encoding left out.
        state_sha256: Digest of the trained state, equal for equal runs; None where the strategy has none.
        details: What :mod:`ciao_stream.metrics.answers` says of the answers, and ``curve``; empty where it was not
        recorded.

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
    trained_parameters: int
    encode_seconds: float
    train_seconds: float
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
        if self.trained_parameters < 0:
            problems.append(f"{self.trained_parameters} trained parameters")
        if not all(math.isfinite(s) and s >= 0 for s in (self.encode_seconds, self.train_seconds)):
            problems.append(f"seconds {self.encode_seconds} and {self.train_seconds}")
        if problems:
            raise CiaoError(f"run {self.strategy}, {self.task}, seed {self.seed}: {'; '.join(problems)}")

    @property
    def value(self) -> float:
        """The primary metric; higher is better."""
        return self.metrics[self.primary]

    @property
    def key(self) -> tuple[str, str, int, str]:
        """What no two rows of a document share: strategy, task, seed, split."""
        return self.strategy, self.task, self.seed, self.split

    def to_json(self) -> dict[str, Any]:
        """Return the row as strict JSON values, NaN as null; :meth:`from_json` is its inverse."""
        data = dataclasses.asdict(self)
        data["metrics"] = {name: None if math.isnan(value) else float(value) for name, value in self.metrics.items()}
        for name, plain in (("seed", int), ("n", int), ("trained_parameters", int),
                            ("encode_seconds", float), ("train_seconds", float)):  # fmt: skip
            data[name] = plain(data[name])  # numpy's numbers are welcome, JSON knows only Python's
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunRow:
        """Rebuild a row written by :meth:`to_json`.

        Raises:
            CiaoError: A field is missing, unknown or out of range.
        """
        try:
            metrics = {name: math.nan if value is None else float(value) for name, value in data["metrics"].items()}
            return cls(**{**data, "metrics": metrics})
        except CiaoError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CiaoError(f"not a run of a results document: {error}") from error
