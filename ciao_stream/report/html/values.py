"""Numbers on a page, each with its value and its place in the results document."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from ciao_stream.report.columns import summed_columns
from ciao_stream.report.formats import metric_name, show
from ciao_stream.report.intervals import mean_interval
from ciao_stream.report.table import judged_split, seeds_of, strategies_of

Document = Mapping[str, Any]
"""A results document."""

OTHER_NAMES = {"kl": "KL (nats)", "rmse": "RMSE", "roc_auc": "ROC AUC", "ece": "ECE"}
"""Metrics that judge no task, as headings name them."""

PER_LABEL = {"ccc": "CCC", "rmse": "RMSE", "f1": "F1"}
"""Metrics that there are of each label; ``_`` and the label follow."""


@dataclass(frozen=True)
class Run:
    """A run, and its place among the document's."""

    index: int
    data: Mapping[str, Any]

    @property
    def pointer(self) -> str:
        """JSON pointer to the run."""
        return f"/runs/{self.index}"


class Results:
    """A results document, with the lookups that the sections share.

    Args:
        document: As :func:`ciao_stream.report.results.read_results` gives it.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.tasks: Sequence[Mapping[str, Any]] = document["tasks"]
        """The tasks, in the order of training."""
        self.strategies, self.seeds, self.split = strategies_of(document), seeds_of(document), judged_split(document)
        self.columns = summed_columns(document)
        """The costs that the table has."""
        self._runs: dict[tuple[str, str], list[Run]] = {}
        for index, run in enumerate(document["runs"]):
            if run["split"] == self.split:
                self._runs.setdefault((run["strategy"], run["task"]), []).append(Run(index, run))
        self._summary: dict[tuple[str, str | None, str | None], tuple[int, Mapping[str, Any]]] = {
            (entry["strategy"], entry["task"], None if entry["task"] else entry["metric"]): (index, entry)
            for index, entry in enumerate(document["summary"])
        }

    def runs(self, strategy: str, task: str) -> list[Run]:
        """Return the judged runs of a strategy on a task, one per seed."""
        return self._runs.get((strategy, task), [])

    def with_detail(self, strategy: str, task: str, name: str) -> list[Run]:
        """Return those of the runs for which a detail was recorded."""
        return [run for run in self.runs(strategy, task) if name in run.data.get("details", {})]

    def entry(self, strategy: str, task: str | None, metric: str | None = None) -> tuple[int, Mapping[str, Any]] | None:
        """Return an entry of the summary and its place, by task, or for no task by the metric of the sequence."""
        return self._summary.get((strategy, task, metric))


def as_json(value: Any) -> str:
    """Return a value for ``data-value``.

    >>> as_json(0.5), as_json(None), as_json(float("nan"))
    ('0.5', 'null', 'null')
    """
    return "null" if value is None or value != value else json.dumps(value)


def number(text: str, value: Any, at: str, base: Iterable[str] = (), how: str = "same") -> Markup:
    """Return a number as it is read, with its value and where that is from."""
    pointers = " ".join(base)
    more = Markup(' data-base="{}"').format(pointers) if pointers else Markup("")
    more += Markup(' data-how="{}"').format(how) if how != "same" else Markup("")
    return Markup('<span class="v" data-value="{}" data-at="{}"{}>{}</span>').format(as_json(value), at, more, text)


def entry_value(index: int, entry: Mapping[str, Any]) -> Markup:
    """Return the mean of an entry of the summary, with its interval where it has one."""
    metric, mean, interval = entry["metric"], entry["mean"], entry["interval"]
    return spread(metric, mean, interval, f"/summary/{index}/mean", f"/summary/{index}/interval")


def mean_over(runs: Sequence[Run], metric: str) -> Markup:
    """Return the mean of a metric over seeds, with its interval where there is one."""
    return detail_mean(runs, metric, f"metrics/{metric}", [run.data["metrics"].get(metric) for run in runs])


def detail_mean(runs: Sequence[Run], metric: str, at: str, values: Sequence[float | None]) -> Markup:
    """Return the mean over runs of the value at a place, shown as a metric of that name."""
    mean, half = mean_interval([math.nan if value is None else value for value in values])
    base = [run.pointer for run in runs]
    return spread(metric, mean, half, at, at, base, "mean" if len(runs) > 1 else "same")


def spread(
    metric: str,
    mean: float | None,
    interval: float | None,
    at: str,
    interval_at: str,
    base: Sequence[str] = (),
    how: str = "same",
) -> Markup:
    """Return ``mean ±interval`` as :func:`ciao_stream.report.formats.show` writes them, each with its value."""
    if mean is None or math.isnan(mean):
        return number("n/a", None, at, base, how)
    text, _, half = show(metric, mean, interval).partition(" ±")
    shown = number(text, mean, at, base, how)
    if not half:
        return shown
    own = number(f"±{half}", interval, interval_at, base, "interval" if base else "same")
    return shown + Markup(' <small class="pm">{}</small>').format(own)


def unit(metric: str) -> str:
    """Return a metric's name with its unit, for a heading; what a task's labels add to it stays readable.

    >>> unit("accuracy"), unit("ccc_arousal"), unit("kl"), unit("roc_auc")
    ('accuracy %', 'CCC arousal', 'KL (nats)', 'ROC AUC')
    """
    head, _, label = metric.partition("_")
    if metric in OTHER_NAMES:
        return OTHER_NAMES[metric]
    if head in PER_LABEL and label:
        return f"{PER_LABEL[head]} {label}"
    return metric_name(metric)
