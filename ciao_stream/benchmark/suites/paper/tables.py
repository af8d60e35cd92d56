"""Tables I and II in the paper's layout, with its numbers next to ours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ciao_stream.benchmark.suites import BASELINES, SCHEMES, WITHOUT_ENCODER
from ciao_stream.benchmark.suites.paper.evidence import Comparison, Document, Result, metrics_of, results
from ciao_stream.benchmark.suites.paper.published import MODELS, TABLE_I, TABLE_II
from ciao_stream.report.formats import NAMES, show, show_count, show_seconds
from ciao_stream.report.table import Cell, Table, judged_split
from strategies import MASKED


def table_i(
    task: Mapping[str, Any], documents: Sequence[Document], compared: Sequence[Comparison], metric: str
) -> Table:
    """Lay out one block of Table I.

    Args:
        task: The entry of ``tasks`` in a results document.
        documents: Results, one per encoder.
        compared: All comparisons.
        metric: Which metric.
    """
    name = task["name"]
    headings = (
        ("model",), ("training",), ("-",), ("CIAO",), ("difference",), ("p", "adjusted"), ("paper", "-"),
        ("paper", "CIAO"), ("trained", "parameters"), ("updates",), ("seconds",),
    )  # fmt: skip
    rows = [_row(one, metric) for one in compared if (one.task, one.metric) == (name, metric)]
    for one in documents:
        own = results(one)
        rows += [
            _baseline(one["encoder"]["name"], baseline, own[baseline, name, metric], metric)
            for baseline in BASELINES
            if (baseline, name, metric) in own
        ]
    mark = ", synthetic" if task["source"] == "synthetic" else ""
    seeds, split = sorted({len(one.without.values) for one in compared}), judged_split(documents[0])
    share = documents[0]["settings"].get("labels", 1)
    trained = f"trained on {100 * share:g} % of the labels; " if share < 1 else ""
    notes = (
        f"{trained}{split} split, label rule: {task['label_rule'][split]}; mean ± half the 95 % interval over "
        f"{_range(seeds)} seeds",
        "difference: CIAO less without, over the same seeds; p of a paired t-test, adjusted for all comparisons",
        "columns headed paper: as published, with other weights, splits and label rules; pairs: without CIAO, with it",
    )
    return Table(f"Table I, {name}{mark} ({_named(metric)})", notes, headings, tuple(rows), ())


def table_ii(tasks: Sequence[Mapping[str, Any]], documents: Sequence[Document]) -> Table:
    """Lay out Table II: the published rivals, the paper's best, and the best of what was measured."""
    rows, of_encoders = [], {one["encoder"]["name"]: results(one) for one in documents}
    for task in tasks:
        for metric in metrics_of(task):
            rivals = TABLE_II.get((task["name"], metric), {})
            rows += [
                (Cell(task["name"]), Cell(_named(metric)), Cell(name), _published(metric, value))
                for name, value in rivals.items()
            ]
            for scheme in ("full", "dl"):
                best = _best(of_encoders, scheme + MASKED, task["name"], metric)
                if best:
                    name, result = best
                    mark = " (synthetic)" if task["source"] == "synthetic" else ""
                    model = f"ours, {name}, {scheme}{MASKED}{mark}"
                    ours = Cell(show(metric, result.mean, result.interval), best=True)
                    rows.append((Cell(task["name"]), Cell(_named(metric)), Cell(model), ours))
    notes = ("in bold: measured here; all else as published, on each author's own splits and label rules",)
    return Table("Table II", notes, (("task",), ("metric",), ("model",), ("result",)), tuple(rows), ())


def _row(one: Comparison, metric: str) -> tuple[Cell, ...]:
    model = MODELS.get(one.encoder, "")
    paper = TABLE_I.get((one.task, metric), {}).get(model)
    pair = paper[SCHEMES.index(one.scheme)] if paper else None
    mean, half = one.difference
    return (
        Cell(f"{one.encoder} ({model})" if model else one.encoder),
        Cell(one.scheme),
        Cell(show(metric, one.without.mean, one.without.interval), best=mean < 0),
        Cell(show(metric, one.with_ciao.mean, one.with_ciao.interval), best=mean > 0),
        Cell(("+" if mean > 0 else "-" if mean < 0 else "") + show(metric, abs(mean), half)),
        Cell("–" if math.isnan(one.adjusted) else "<0.001" if one.adjusted < 0.001 else f"{one.adjusted:.3f}"),
        *((_published(metric, value) for value in pair) if pair else (Cell("–"), Cell("–"))),
        Cell(f"{show_count(one.without.parameters)}, {show_count(one.with_ciao.parameters)}"),
        Cell(f"{one.without.updates:,}"),
        Cell(f"{show_seconds(one.without.seconds)}, {show_seconds(one.with_ciao.seconds)}"),
    )


def _baseline(encoder: str, name: str, result: Result, metric: str) -> tuple[Cell, ...]:
    model = "" if name in WITHOUT_ENCODER else encoder
    return (
        Cell(model), Cell(name), Cell(show(metric, result.mean)), *[Cell("")] * 5, Cell(show_count(result.parameters)),
        Cell(""), Cell(show_seconds(result.seconds)),
    )  # fmt: skip


def _best(
    of_encoders: Mapping[str, Mapping[tuple[str, str, str], Result]], strategy: str, task: str, metric: str
) -> tuple[str, Result] | None:
    """Return the encoder, and its result, with which a strategy did best."""
    found = {name: own.get((strategy, task, metric)) for name, own in of_encoders.items()}
    known = {name: result for name, result in found.items() if result is not None and not math.isnan(result.mean)}
    return max(known.items(), key=lambda item: item[1].mean) if known else None


def _published(metric: str, value: float) -> Cell:
    """Return a published number: accuracies were printed as percent, F1 and CCC were not."""
    return Cell(show(metric, value / 100 if metric == "accuracy" else value), published=True)


def _named(metric: str) -> str:
    """Return what a metric is called; of arousal and valence apart too."""
    name, _, label = metric.partition("ccc_")
    return f"CCC of {label}" if label else NAMES.get(name, name)


def _range(numbers: Sequence[int]) -> str:
    return f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else str(numbers[0] if numbers else 0)
