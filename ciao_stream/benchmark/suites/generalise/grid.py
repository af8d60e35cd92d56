"""The grid: every task that is trained on by every task that is tested on, for each strategy, over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ciao_stream.benchmark.sharing import Shared
from ciao_stream.benchmark.suites.generalise.common import COMMON
from ciao_stream.benchmark.suites.generalise.judging import Judged
from ciao_stream.benchmark.suites.generalise.published import METHODS, published
from ciao_stream.report.intervals import mean_interval

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
