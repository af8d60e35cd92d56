"""The comparison as tables, built from the document alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ciao_stream.benchmark.suites.online.evidence import GOAL, MEASURES, bound
from ciao_stream.report.formats import NAMES, show, show_count
from ciao_stream.report.table import Cell, Table, judged_split

Document = Mapping[str, Any]
Entry = Mapping[str, Any]


def build_tables(document: Document) -> list[Table]:
    """Lay out per task what each strategy reached at each point, and how far the first is ahead of the others."""
    tables = []
    for task in document["tasks"]:
        entries = {(e["strategy"], e["n"], e["measure"]): e for e in document["points"] if e["task"] == task["name"]}
        if entries:
            tables.append(_reached(document, task, entries))
            if len({strategy for strategy, _, _ in entries}) > 1:
                tables.append(_ahead(document, task, entries))
    return tables


def notes(document: Document) -> tuple[str, ...]:
    """Say what the numbers of all tables are."""
    encoder, seeds = document["encoder"], {run["seed"] for run in document["runs"]}
    split = judged_split(document)
    share = document["settings"].get("labels", 1)
    return (
        f"encoder {encoder['name']} ({show_count(encoder['parameters'])} parameters, weights: {encoder['weights']}); "
        f"{len(seeds)} seed{'s'[: len(seeds) != 1]}, each with its own order"
        f"{f'; {100 * share:g} % of the labels' if share < 1 else ''}",
        "prequential: predictions of the first n faces of the training split, each before its label was learned; "
        f"{split}: on the {split} split after n labels; ± half the 95 % interval of the mean over seeds",
        *(
            f"{task['name']} ({task['source']}): {task['samples']['train']:,} faces, {task['samples'][split]:,} of the "
            f"{split} split; label rule: {task['label_rule'][split]}"
            for task in document["tasks"]
        ),
        *dict.fromkeys(f"{e['strategy']} did not run on {e['task']}: {e['reason']}" for e in document["not_run"]),
    )


def _reached(document: Document, task: Entry, entries: Mapping[tuple[str, int, str], Entry]) -> Table:
    strategies, points, metric = _strategies(entries), _ns(entries), task["primary"]
    goal = {e["strategy"]: e["n"] for e in document["goal"] if e["task"] == task["name"]}
    best = {
        (n, measure): max(entries[s, n, measure]["mean"] for s in strategies if (s, n, measure) in entries)
        for n in points
        for measure in MEASURES
    }
    rows = []
    for strategy in strategies:
        cells = [_cell(entries.get((strategy, n, measure)), best[n, measure]) for n in points for measure in MEASURES]
        rows.append((Cell(strategy), *cells, Cell(f"{goal[strategy]:,}" if goal[strategy] else "–")))
    blanks = [Cell("")] * (len(points) * len(MEASURES) - 1)
    rows += [
        (Cell(f"{e['strategy']}, offline"), *blanks, Cell(show(metric, e["mean"], e["interval"])), Cell(""))
        for e in document["offline"]
        if e["task"] == task["name"]
    ]
    headings = (("strategy",), *_headings(document, points), (f"{100 * GOAL:g} % of offline", "after"))
    return Table(_title(task, "learned online"), (), headings, tuple(rows), _offline(document, task))


def _ahead(document: Document, task: Entry, entries: Mapping[tuple[str, int, str], Entry]) -> Table:
    (first, *others), points, metric = _strategies(entries), _ns(entries), task["primary"]
    rows = []
    for strategy in others:
        cells = []
        for key in ((strategy, n, measure) for n in points for measure in MEASURES):
            difference = entries[key]["difference"] if key in entries else None
            cells.append(_signed(metric, *difference) if difference else Cell("–"))
        rows.append((Cell(strategy), *cells))
    headings = (("less",), *_headings(document, points))
    return Table(_title(task, f"{first}, how far ahead over the same seeds"), (), headings, tuple(rows), ())


def _headings(document: Document, points: Sequence[int]) -> list[tuple[str, ...]]:
    names = {"prequential": "prequential", "judged": judged_split(document)}
    return [(f"{n:,}", names[measure]) for n in points for measure in MEASURES]


def _offline(document: Document, task: Entry) -> tuple[str, ...]:
    best = bound(document["offline"], task["name"])
    return () if best is None else (f"best of offline training: {show(task['primary'], best)}",)


def _strategies(entries: Mapping[tuple[str, int, str], Entry]) -> list[str]:
    return list(dict.fromkeys(strategy for strategy, _, _ in entries))


def _ns(entries: Mapping[tuple[str, int, str], Entry]) -> list[int]:
    return sorted({n for _, n, _ in entries})


def _cell(entry: Entry | None, best: float) -> Cell:
    if entry is None:
        return Cell("–")
    return Cell(show(entry["metric"], entry["mean"], entry["interval"]), best=entry["mean"] == best)


def _signed(metric: str, mean: float | None, interval: float | None) -> Cell:
    sign = "" if not mean else "+" if mean > 0 else "-"
    sure = bool(mean and interval is not None and mean > interval)
    return Cell(sign + show(metric, None if mean is None else abs(mean), interval), best=sure)


def _title(task: Entry, text: str) -> str:
    mark = ", synthetic" if task["source"] == "synthetic" else ""
    return f"{task['name']}{mark} ({NAMES.get(task['primary'], task['primary'])}), {text}"
