"""The grid: every task that is trained on by every task that is tested on, for each strategy, over seeds.

Next to ours are the numbers that CAFE's paper reports of methods that were trained on one data set and tested on five.

References:
    - [0] Zhang et al.: Generalizable Facial Expression Recognition, ECCV 2024, https://arxiv.org/abs/2408.10614,
      Table 1, as in ``assets/results.png`` of https://github.com/zyh-uaiaaaa/Generalizable-FER (commit 268c293)

They are accuracies in percent on the seven classes of :data:`~ciao_stream.benchmark.suites.generalise.common.COMMON`.
The authors' code reports the best epoch on each test set; of the two data sets FERPlus and MMA, the second seems to
contain the images of the first. Means are computed, not copied: trained on AffectNet, two of the printed ones are not
the means of the numbers next to them (EAC 53.09 for 53.29, CAFE 60.27 for 61.67).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ciao_stream.benchmark.sharing import Shared
from ciao_stream.benchmark.suites.generalise.common import COMMON
from ciao_stream.benchmark.suites.generalise.judging import Judged
from ciao_stream.report.intervals import mean_interval

CAFE = "CAFE"

METHODS = ("SCN", "RUL", "EAC", "OFER", CAFE)

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "rafdb": ("rafdb", "ferplus", "affectnet", "sfew", "mmafedb"),
    "ferplus": ("ferplus", "rafdb", "affectnet", "sfew", "mmafedb"),
    "affectnet": ("affectnet", "rafdb", "ferplus", "sfew", "mmafedb"),
    "sfew": ("sfew", "rafdb", "ferplus", "affectnet", "mmafedb"),
    "mmafedb": ("mmafedb", "rafdb", "ferplus", "sfew", "affectnet"),
}
"""By the data set that was trained on, in which order Table 1 has the test sets: its own first."""

TABLE_1: Mapping[str, Mapping[str, tuple[float, ...]]] = {
    "rafdb": {
        "SCN": (87.32, 58.37, 42.85, 44.89, 36.52),
        "RUL": (88.66, 57.89, 43.82, 46.91, 37.11),
        "EAC": (89.54, 54.38, 43.91, 43.39, 37.27),
        "OFER": (89.07, 53.90, 42.73, 43.88, 36.43),
        "CAFE": (88.72, 73.16, 45.86, 52.86, 56.80),
    },
    "ferplus": {
        "SCN": (86.80, 68.71, 32.42, 43.10, 59.12),
        "RUL": (88.40, 51.89, 35.88, 45.90, 58.00),
        "EAC": (89.03, 58.62, 36.49, 45.79, 59.89),
        "OFER": (89.26, 55.67, 35.84, 44.52, 59.37),
        "CAFE": (89.51, 72.91, 39.44, 49.38, 60.14),
    },
    "affectnet": {
        "SCN": (62.48, 70.70, 63.98, 41.98, 38.51),
        "RUL": (58.70, 55.83, 52.88, 34.01, 31.93),
        "EAC": (64.77, 66.10, 57.19, 44.89, 33.49),
        "OFER": (63.90, 63.21, 56.79, 42.60, 31.99),
        "CAFE": (64.87, 72.69, 69.94, 51.18, 49.65),
    },
    "sfew": {
        "SCN": (51.35, 46.74, 32.58, 23.19, 17.38),
        "RUL": (51.87, 46.35, 36.02, 30.41, 22.06),
        "EAC": (52.46, 47.29, 33.66, 25.57, 22.26),
        "OFER": (52.15, 46.33, 34.78, 23.02, 21.88),
        "CAFE": (53.79, 54.43, 48.39, 32.24, 36.34),
    },
    "mmafedb": {
        "SCN": (63.00, 74.09, 73.99, 45.90, 35.94),
        "RUL": (61.70, 71.94, 69.05, 39.21, 34.45),
        "EAC": (65.06, 74.32, 71.85, 42.87, 35.83),
        "OFER": (64.74, 72.85, 69.69, 41.49, 34.58),
        "CAFE": (65.97, 78.36, 73.57, 49.05, 41.85),
    },
}
"""By the data set that was trained on, by method, in the order of :data:`COLUMNS`."""

FORMAT = "ciao_stream/generalise/1"
"""Name and version of the document; the number grows when a field changes its meaning or goes away."""

METRIC = "accuracy"
"""The metric of the grid, as in CAFE's; the rows hold macro F1 as well."""

Over = Literal["all", "unseen", "apart"]
"""Over which test sets a mean is taken: ``all``, the own one among them, as CAFE's paper does; ``unseen``, all but the
own one; ``apart``, of these all that share no image with the task that was trained on."""

OVER: tuple[Over, ...] = ("all", "unseen", "apart")

BySeed = Mapping[int, float]
Tests = Mapping[tuple[Over, str], Sequence[str]]


def build_document(
    *,
    about: Mapping[str, Any],
    tasks: Sequence[Mapping[str, Any]],
    judged: Sequence[Judged],
    shared: Sequence[Shared],
    not_run: Sequence[Mapping[str, str]],
) -> dict[str, Any]:
    """Put the document together, plain and strict JSON values.

    Args:
        about: ``command``, ``environment``, ``encoder`` and ``settings``, as a results document has them.
        tasks: From :func:`ciao_stream.report.results.describe_task`.
        judged: All rows.
        shared: Tasks that share images.
        not_run: ``{strategy, task, reason}`` of what has no rows.

    Returns:
        ``format``, ``about``'s fields, ``classes``, ``metric``, ``tasks``, ``runs``, ``shared``, ``not_run``,
        ``published`` and ``summary``. Entries of ``summary`` are ``{strategy, train, test, over, mean, interval,
        n_seeds}``: one per pair of tasks, with ``over`` null; one per task that was trained on and :data:`Over`, with
        ``test`` null; one per :data:`Over`, the mean of those, with ``train`` null as well. Means over test sets are
        computed for each seed, so that ``interval``, half the width at 95 %, is over seeds. Entries of ``published``
        have ``method`` instead of ``strategy``, and no spread. A mean is null if there is no test set to compute it
        over, or where one of them has no number.
    """
    names = [task["name"] for task in tasks]
    tests = {(over, train): _tests(over, train, names, shared) for over in OVER for train in names}
    ours = [entry for name in dict.fromkeys(row.strategy for row in judged) for entry in _summary(name, judged, tests)]
    return {
        "format": FORMAT,
        **about,
        "classes": [*COMMON],
        "metric": METRIC,
        "tasks": [*tasks],
        "runs": [row.to_json() for row in judged],
        "shared": [one.to_json() for one in shared],
        "not_run": [*not_run],
        "published": [entry for method in METHODS for entry in _published(method, tests)],
        "summary": ours,
    }


def _tests(over: Over, train: str, names: Sequence[str], shared: Sequence[Shared]) -> list[str]:
    """Return the test sets over which the mean of one training task is computed."""
    related = {one.test for one in shared if one.train == train and over == "apart"}
    return [name for name in names if over == "all" or name not in {train, *related}]


def _summary(strategy: str, judged: Sequence[Judged], tests: Tests) -> list[dict[str, Any]]:
    cells: dict[tuple[str, str], dict[int, float]] = {}
    for row in judged:
        if row.strategy == strategy:
            cells.setdefault((row.train, row.test), {})[row.seed] = row.metrics[METRIC]

    def entry(train: str | None, test: str | None, over: Over | None, values: BySeed) -> dict[str, Any]:
        mean, half = (None if math.isnan(number) else number for number in mean_interval([*values.values()]))
        place = {"strategy": strategy, "train": train, "test": test, "over": over}
        return {**place, "mean": mean, "interval": half, "n_seeds": len(values)}

    entries = [entry(train, test, None, values) for (train, test), values in cells.items()]
    for over, means in _means(cells, tests).items():
        entries += [entry(train, None, over, values) for train, values in means.items()]
    return entries


def _published(method: str, tests: Tests) -> list[dict[str, Any]]:
    names = [train for over, train in tests if over == "all"]
    values = {(train, test): published(method, train, test) for train in names for test in names}
    cells = {pair: {0: value} for pair, value in values.items() if value is not None}

    def entry(train: str | None, test: str | None, over: Over | None, by_seed: BySeed) -> dict[str, Any]:
        return {"method": method, "train": train, "test": test, "over": over, "mean": by_seed.get(0)}

    entries = [entry(train, test, None, value) for (train, test), value in cells.items()]
    for over, means in _means(cells, tests).items():
        entries += [entry(train, None, over, value) for train, value in means.items()]
    return entries


def _means(cells: Mapping[tuple[str, str], BySeed], tests: Tests) -> dict[Over, dict[str | None, BySeed]]:
    """Return for each :data:`Over` the means by seed: over the test sets of each task, and of those, under None."""
    found: dict[Over, dict[str | None, BySeed]] = {}
    for over in OVER:
        of_task: dict[str | None, BySeed] = {
            train: _mean_by_seed([cells.get((train, test), {}) for test in names])
            for (other, train), names in tests.items()
            if other == over
        }
        whole = [of_task[train] for (other, train), names in tests.items() if other == over and names]
        found[over] = {**of_task, None: _mean_by_seed(whole)}
    return found


def _mean_by_seed(parts: Sequence[BySeed]) -> BySeed:
    """Return the mean of some numbers for each seed that has all of them."""
    seeds = sorted(set.intersection(*(set(part) for part in parts))) if parts else []
    return {seed: math.fsum(part[seed] for part in parts) / len(parts) for seed in seeds}


def published(method: str, train: str, test: str) -> float | None:
    """Return a published accuracy, as a share; None where the paper has none.

    >>> published("CAFE", "rafdb", "sfew"), published("CAFE", "fer", "sfew")
    (0.5286, None)
    """
    if train not in TABLE_1 or test not in COLUMNS[train]:
        return None
    return round(TABLE_1[train][method][COLUMNS[train].index(test)] / 100, 6)
