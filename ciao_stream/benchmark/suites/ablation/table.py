"""The table of an ablation: each change, what it gives, and how far that is from the settings without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ciao_stream.benchmark.suites.ablation.variants import Variant
from ciao_stream.benchmark.suites.paper.evidence import Result, results
from ciao_stream.report.formats import metric_name, show, show_count, show_seconds
from ciao_stream.report.intervals import mean_interval
from ciao_stream.report.table import Cell, Table, judged_split, synthetic_mark

Document = Mapping[str, Any]


def build_table(baseline: Document, changed: Sequence[tuple[Variant, Document]]) -> Table:
    """Lay out the ablation.

    Args:
        baseline: Results of the settings as they are, of one strategy.
        changed: Each change with its results, of the same strategy, tasks and seeds.
    """
    strategy = baseline["runs"][0]["strategy"]
    headings: list[tuple[str, ...]] = [("part",), ("change",)]
    rows = [[Cell(""), Cell("none")], *([Cell(one.part), Cell(one.name)] for one, _ in changed)]
    before = results(baseline)
    after = [results(document) for _, document in changed]
    for task in baseline["tasks"]:
        key = strategy, task["name"], task["primary"]
        headings += [(task["name"], metric_name(task["primary"])), ("difference",)]
        for row, own in zip(rows, [before, *after], strict=True):
            row.append(Cell(show(task["primary"], own[key].mean, own[key].interval)))
        rows[0].append(Cell(""))
        for row, own in zip(rows[1:], after, strict=True):
            row.append(_difference(task["primary"], before[key], own[key]))
    headings += [("trained", "parameters"), ("seconds",)]
    for row, own in zip(rows, [before, *after], strict=True):
        cells = [own[strategy, task["name"], task["primary"]] for task in baseline["tasks"]]
        row += [Cell(show_count(max(c.parameters for c in cells))), Cell(show_seconds(sum(c.seconds for c in cells)))]
    mark = synthetic_mark(baseline)
    settings, encoder = baseline["settings"], baseline["encoder"]
    labels = f"{100 * settings['labels']:g} % of the labels; " if "labels" in settings else ""
    seeds = len(before[strategy, baseline["tasks"][0]["name"], baseline["tasks"][0]["primary"]].values)
    notes = (
        f"{strategy} over {encoder['name']} (weights: {encoder['weights']}), preset {settings['preset']}; {labels}"
        f"{seeds} seeds, on the {judged_split(baseline)} splits",
        "difference: the change less none, mean over the same seeds ± half its 95 % interval; in bold where that "
        "excludes 0, which one in twenty does by chance",
    )
    title = f"Ablation of {strategy}{f' ({mark})' if mark else ''}"
    return Table(title, notes, tuple(headings), tuple(map(tuple, rows)), ())


def _difference(metric: str, before: Result, after: Result) -> Cell:
    mean, half = mean_interval([after.values[seed] - before.values[seed] for seed in sorted(before.values)])
    sign = "+" if mean > 0 else "-" if mean < 0 else ""
    return Cell(sign + show(metric, abs(mean), half), best=abs(mean) > half)
