"""The grid as tables, built from the document alone, with the numbers of CAFE's paper next to ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ciao_stream.benchmark.suites.generalise.grid import CAFE, METHODS, METRIC, OVER, Over
from ciao_stream.report.formats import show, show_count, show_seconds
from ciao_stream.report.table import Cell, Table, judged_split, show_epochs, synthetic_mark

OWN, SHARED = "°", "‡"
"""Marks of a task's own test split, and of one that shares images with the training task."""

HEADINGS: Mapping[Over, tuple[str, ...]] = {
    "all": ("mean", "own test", "included"),
    "unseen": ("mean of", "the others"),
    "apart": ("the others,", "none shared"),
}

Document = Mapping[str, Any]
Entry = Mapping[str, Any]
Place = tuple[str, str | None, str | None, str | None]
"""Strategy or method, train, test, over."""


def build_tables(document: Document) -> list[Table]:
    """Lay out the means of all strategies, those without shared images if there are any, and each one's grid."""
    ran = list(dict.fromkeys(run["strategy"] for run in document["runs"]))
    overs: tuple[Over, ...] = ("unseen", "apart") if document["shared"] else ("unseen",)
    return [_overview(document, ran, over) for over in overs] + [_grid(document, name) for name in ran]


def notes(document: Document) -> tuple[str, ...]:
    """Say what the numbers of all tables are."""
    encoder, seeds = document["encoder"], {run["seed"] for run in document["runs"]}
    share = document["settings"].get("labels", 1)
    lines = [
        f"encoder {encoder['name']} ({show_count(encoder['parameters'])} parameters, weights: {encoder['weights']}); "
        f"{len(seeds)} seed{'s'[: len(seeds) != 1]}; epochs: {show_epochs(document)}"
        f"{f'; trained on {100 * share:g} % of the labels' if share < 1 else ''}",
        f"{METRIC} in % on the {judged_split(document)} splits, ± half the 95 % interval of the mean over seeds; "
        f"classes: {', '.join(document['classes'])}",
        "in grey: as published (CAFE's Table 1, ECCV 2024), over CLIP ViT-B/32, with other crops, splits and label "
        "rules, and the best epoch on each test set",
        *(_about(document, task) for task in document["tasks"]),
        *(
            f"{one['train']} and {one['test']} share images, {one['pictures']:,} of {one['test']}'s; {one['train']} "
            f"is trained on {one['learned']:,} that {one['test']} is tested on"
            for one in document["shared"]
        ),
        *dict.fromkeys(f"{one['strategy']} did not run: {one['reason']}" for one in document["not_run"]),
    ]
    return tuple(lines)


def _about(document: Document, task: Entry) -> str:
    split = judged_split(document)
    n = sorted({run["n"] for run in document["runs"] if run["test"] == task["name"]})
    scored = " to ".join(f"{count:,}" for count in dict.fromkeys(n[:1] + n[-1:])) or "none"
    parts = [f"{task['name']} ({task['source']}): trained on {task['samples']['train']:,}, n scored {scored}"]
    parts.append(f"label rule: {task['label_rule'][split]}")
    parts += [f"dropped from {split}: {n:,} ({reason})" for reason, n in task["dropped"][split].items() if n]
    if folds := task["folds"]:
        ran = list(dict.fromkeys(folds["held_out"]))
        parts.append(f"{len(ran)} of {folds['of']} folds, one per seed, tested on {', '.join(ran)}")
    return "; ".join(parts)


def _overview(document: Document, ran: Sequence[str], over: Over) -> Table:
    """Lay out the means of every strategy, and of the published methods that were tested on the same data sets."""
    ours, theirs = _by_place(document["summary"], "strategy"), _by_place(document["published"], "method")
    trains = [*(task["name"] for task in document["tasks"]), None]
    headings = [("learned by",), *(_heading(task) for task in document["tasks"]), ("mean",)]
    headings += [("parameters", "trained"), ("seconds", "to train")]
    rows = []
    for name in ran:
        cells = [_cell(ours.get((name, train, None, over)), _best(ours, ran, train, over)) for train in trains]
        rows.append((Cell(name), *cells, *_cost(document, name)))
    for method in METHODS:
        cells = [_cell(theirs.get((method, train, None, over)), published=True) for train in trains]
        if any(cell.text != "–" for cell in cells):
            rows.append((Cell(method, published=True), *cells, Cell(""), Cell("")))
    which = "on all others that share no image with it" if over == "apart" else "on all others"
    title = _title(document, f"Trained on one task (column), tested {which}: mean {METRIC}")
    return Table(title, (), tuple(headings), tuple(rows), ())


def _grid(document: Document, strategy: str) -> Table:
    """Lay out the grid of one strategy, and below each row what CAFE reports."""
    ours, theirs = _by_place(document["summary"], "strategy"), _by_place(document["published"], "method")
    names = [task["name"] for task in document["tasks"]]
    overs = OVER if document["shared"] else OVER[:2]
    related = {(one["train"], one["test"]) for one in document["shared"]}
    rows = []
    for train in names:
        marks = [OWN if test == train else SHARED * ((train, test) in related) for test in names]
        places = [*((train, test, None) for test in names), *((train, None, over) for over in overs)]
        marks += [""] * len(overs)
        for name, entries, published in ((strategy, ours, False), (CAFE, theirs, True)):
            cells = [
                _cell(entries.get((name, *place)), published=published, mark=mark)
                for place, mark in zip(places, marks, strict=True)
            ]
            if any(not cell.text.startswith("–") for cell in cells):
                rows.append((Cell(f"  {CAFE}, published" if published else train, published=published), *cells))
    headings = (("trained on",), *map(_heading, document["tasks"]), *(HEADINGS[over] for over in overs))
    footnotes = [f"{OWN} the task's own {judged_split(document)} split, which is not zero-shot"]
    if related:
        footnotes.append(f"{SHARED} both tasks show the same images")
    title = _title(document, f"{strategy}: trained on one task (row), tested on every one (column)")
    return Table(title, (), headings, tuple(rows), tuple(footnotes))


def _title(document: Document, text: str) -> str:
    mark = synthetic_mark(document)
    return f"{text}{f' ({mark})' if mark else ''}"


def _heading(task: Entry) -> tuple[str, ...]:
    return (task["name"], *["synthetic"][: task["source"] == "synthetic"])


def _by_place(entries: Sequence[Entry], who: str) -> dict[Place, Entry]:
    return {(entry[who], entry["train"], entry["test"], entry["over"]): entry for entry in entries}


def _cell(entry: Entry | None, best: str | None = None, *, published: bool = False, mark: str = "") -> Cell:
    if entry is None or entry["mean"] is None:
        return Cell(f"–{mark}", published=published)
    text = show(METRIC, entry["mean"], entry.get("interval"))
    return Cell(text + mark, best=best is not None and show(METRIC, entry["mean"]) == best, published=published)


def _best(entries: Mapping[Place, Entry], names: Sequence[str], train: str | None, over: Over) -> str | None:
    """Return the best mean as it is shown; None where all are the same."""
    means = [entry["mean"] for name in names if (entry := entries.get((name, train, None, over)))]
    known = [mean for mean in means if mean is not None]
    return show(METRIC, max(known)) if len({show(METRIC, mean) for mean in known}) > 1 else None


def _cost(document: Document, strategy: str) -> tuple[Cell, Cell]:
    """Return what training took: parameters per task, and seconds for all tasks, a mean over seeds."""
    runs = [run for run in document["runs"] if run["strategy"] == strategy and run["train"] == run["test"]]
    sizes = sorted({run["trained_parameters"] for run in runs})
    seconds = [sum(run["train_seconds"] for run in runs if run["seed"] == seed) for seed in {r["seed"] for r in runs}]
    counts = dict.fromkeys(map(show_count, sizes[:1] + sizes[-1:]))
    return Cell("–".join(counts)), Cell(show_seconds(float(np.mean(seconds))))
