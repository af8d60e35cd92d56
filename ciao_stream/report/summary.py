"""Means and intervals over seeds: what the table and the figures show, stored so that they can be checked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ciao_stream.metrics import continual
from ciao_stream.report.intervals import mean_interval
from ciao_stream.report.rows import RunRow

NestedMatrix = Sequence[Sequence[float | None]]
"""R as JSON holds it: rows of numbers, None where not evaluated."""


def summarise(
    rows: Iterable[RunRow], matrices: Mapping[str, Mapping[str, NestedMatrix]], judged: str = "test"
) -> list[dict[str, Any]]:
    """Summarise the rows of one split per strategy and task, and the R matrices per strategy.

    Args:
        rows: Rows of any split; only those of ``judged`` are summarised.
        matrices: R (T + 1, T) by strategy and seed, as in the document.
        judged: The split that results are measured on.

    Returns:
        Entries ``{strategy, task, metric, mean, interval, n_seeds, trained_parameters, train_seconds}`` in the order
        of the rows, then, for each strategy with matrices, four with task null and metric ``acc``, ``bwt``, ``fwt``
        and ``forgetting``. ``interval`` is the half width at 95 %. Undefined numbers are None. Per task, seconds are
        the mean over seeds; per strategy they are the sum of that over tasks, and the parameters are the largest of
        any task.
    """
    cells: dict[tuple[str, str], list[RunRow]] = {}
    for row in rows:
        if row.split == judged:
            cells.setdefault((row.strategy, row.task), []).append(row)
    tasks = [
        _entry(
            strategy, task, group[0].primary, [row.value for row in group],
            max(row.trained_parameters for row in group), sum(row.train_seconds for row in group) / len(group),
        )
        for (strategy, task), group in cells.items()
    ]  # fmt: skip
    sequences = []
    for strategy, by_seed in matrices.items():
        own = [entry for entry in tasks if entry["strategy"] == strategy]
        parameters = max((entry["trained_parameters"] for entry in own), default=0)
        seconds = sum(entry["train_seconds"] for entry in own)
        derived = [continual.summarise(np.array(matrix, dtype=np.float64)) for matrix in by_seed.values()]
        for metric in ("acc", "bwt", "fwt", "forgetting"):
            values = [one[metric] for one in derived]
            sequences.append(_entry(strategy, None, metric, values, parameters, seconds))
    return tasks + sequences


def _entry(
    strategy: str, task: str | None, metric: str, values: Sequence[float], parameters: int, seconds: float
) -> dict[str, Any]:
    mean, half = mean_interval(values)
    return {
        "strategy": strategy,
        "task": task,
        "metric": metric,
        "mean": None if math.isnan(mean) else mean,
        "interval": None if math.isnan(half) else half,
        "n_seeds": len(values),
        "trained_parameters": parameters,
        "train_seconds": seconds,
    }
