"""Means and intervals over seeds: what the table and the figures show, stored so that they can be checked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ciao_stream.metrics import continual
from ciao_stream.report import columns
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
        and ``forgetting``. ``interval`` is the half width at 95 %. Undefined numbers are None. The costs, of which
        there may be more, are summed up over seeds and over tasks as their :class:`Column` says.
    """
    cells: dict[tuple[str, str], list[RunRow]] = {}
    for row in rows:
        if row.split == judged:
            cells.setdefault((row.strategy, row.task), []).append(row)
    tasks = [
        _entry(strategy, task, group[0].primary, [row.value for row in group], _of_seeds(group))
        for (strategy, task), group in cells.items()
    ]
    sequences = []
    for strategy, by_seed in matrices.items():
        own = [entry for entry in tasks if entry["strategy"] == strategy]
        cost = {
            column.key: column.of_tasks([entry[column.key] for entry in own if column.key in entry])
            for column in columns.COLUMNS
            if column.summed and (column.required or any(column.key in entry for entry in own))
        }
        derived = [continual.summarise(np.array(matrix, dtype=np.float64)) for matrix in by_seed.values()]
        for metric in ("acc", "bwt", "fwt", "forgetting"):
            values = [one[metric] for one in derived]
            sequences.append(_entry(strategy, None, metric, values, cost))
    return tasks + sequences


def _of_seeds(group: Sequence[RunRow]) -> dict[str, float]:
    """Return what a task cost a strategy."""
    summed = [column for column in columns.COLUMNS if column.summed]
    costs = {column: [row.cost[column.key] for row in group if column.key in row.cost] for column in summed}
    return {column.key: column.of_seeds(values) for column, values in costs.items() if values}


def _entry(
    strategy: str, task: str | None, metric: str, values: Sequence[float], cost: Mapping[str, float]
) -> dict[str, Any]:
    mean, half = mean_interval(values)
    return {
        "strategy": strategy,
        "task": task,
        "metric": metric,
        "mean": None if math.isnan(mean) else mean,
        "interval": None if math.isnan(half) else half,
        "n_seeds": len(values),
        **cost,
    }
