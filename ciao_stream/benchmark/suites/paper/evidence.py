"""Comparison of each scheme without and with CIAO, over the same seeds, from one benchmark per encoder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import false_discovery_control, ttest_rel

from ciao_stream.benchmark.suites import SCHEMES
from ciao_stream.report.intervals import mean_interval
from ciao_stream.report.rows import RunRow
from ciao_stream.report.table import judged_split
from strategies import MASKED

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """One strategy on one task by one metric, over seeds.

    Args:
        values: By seed.
        parameters: How many numbers were trained.
        seconds: Mean time to train.
        updates: Steps of the optimiser.
    """

    values: Mapping[int, float]
    parameters: int
    seconds: float
    updates: int

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return mean_interval([*self.values.values()])[0]

    @property
    def interval(self) -> float:
        """Half the width of the 95 % interval of the mean; NaN for one seed."""
        return mean_interval([*self.values.values()])[1]


@dataclass(frozen=True)
class Comparison:
    """A scheme without CIAO and with it, on one task by one metric.

    Args:
        encoder: The encoder's name.
        task: The task's name.
        metric: Which metric.
        scheme: ``full``, ``lc`` or ``dl``.
        without: Without CIAO.
        with_ciao: With it.
        p: Of the paired t-test over seeds [1], NaN where there are fewer than two seeds or no difference in any.
        adjusted: The same, adjusted for all comparisons of the suite [2].

    References:
        - [1] scipy.stats.ttest_rel, two-sided
        - [2] Benjamini, Hochberg: Controlling the False Discovery Rate, 1995
    """

    encoder: str
    task: str
    metric: str
    scheme: str
    without: Result
    with_ciao: Result
    p: float = math.nan
    adjusted: float = math.nan

    @property
    def difference(self) -> tuple[float, float]:
        """Mean of the differences over seeds, and half the width of its 95 % interval."""
        shared = self.without.values.keys() & self.with_ciao.values.keys()
        return mean_interval([self.with_ciao.values[s] - self.without.values[s] for s in sorted(shared)])


def metrics_of(task: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the metrics by which the paper judges a task: arousal and valence apart, else the primary one."""
    if task["kind"] == "dimensional":
        return tuple(f"ccc_{label}" for label in task["labels"])
    return (task["primary"],)


def results(document: Document) -> dict[tuple[str, str, str], Result]:
    """Return every result of a document by strategy, task and metric."""
    rows = [RunRow.from_json(run) for run in document["runs"]]
    found, judged = {}, judged_split(document)
    for task in document["tasks"]:
        settings = document["settings"]["tasks"][task["name"]]
        trained_on = round(document["settings"].get("labels", 1) * task["samples"]["train"])
        steps = settings["epochs"] * math.ceil(trained_on / settings["batch_size"])
        for strategy in dict.fromkeys(row.strategy for row in rows):
            own = [r for r in rows if (r.strategy, r.task, r.split) == (strategy, task["name"], judged)]
            for metric in metrics_of(task) if own else ():
                values = {row.seed: row.metrics[metric] for row in own}
                seconds = float(np.mean([row.train_seconds for row in own]))
                found[strategy, task["name"], metric] = Result(values, own[0].trained_parameters, seconds, steps)
    return found


def comparisons(documents: Sequence[Document]) -> list[Comparison]:
    """Compare each scheme without and with CIAO, in the order of the tasks, then of the encoders."""
    found, of_encoders = [], [(document["encoder"]["name"], results(document)) for document in documents]
    for task in documents[0]["tasks"]:
        for metric in metrics_of(task):
            for encoder, own in of_encoders:
                for scheme in SCHEMES:
                    pair = [own.get((name, task["name"], metric)) for name in (scheme, scheme + MASKED)]
                    if pair[0] and pair[1]:
                        found.append(_tested(Comparison(encoder, task["name"], metric, scheme, pair[0], pair[1])))
    known = [i for i, one in enumerate(found) if not math.isnan(one.p)]
    adjusted = false_discovery_control([found[i].p for i in known]) if known else []
    for i, p in zip(known, adjusted, strict=True):
        found[i] = replace(found[i], adjusted=float(p))
    return found


def _tested(one: Comparison) -> Comparison:
    seeds = sorted(one.without.values.keys() & one.with_ciao.values.keys())
    a, b = ([side.values[seed] for seed in seeds] for side in (one.without, one.with_ciao))
    if len(seeds) < 2 or np.ptp(np.subtract(b, a)) == 0:
        return one
    return replace(one, p=float(ttest_rel(b, a).pvalue))
