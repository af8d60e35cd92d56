"""The one table of a benchmark, strategies by tasks, built once from the document's summary and rendered twice."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ciao_stream.report.columns import summed_columns
from ciao_stream.report.formats import metric_name, show, show_count

if TYPE_CHECKING:
    import rich.table

Entry = Mapping[str, Any]

SEQUENCE = {"acc": "ACC", "bwt": "BWT", "forgetting": "forgetting"}
"""Columns that are derived from the R matrix, and their headings."""


@dataclass(frozen=True)
class Cell:
    """One cell of the table.

    Args:
        text: The text.
        best: Whether it is the best of its column.
        published: Whether it was reported by others and not measured here.
    """

    text: str
    best: bool = False
    published: bool = False


@dataclass(frozen=True)
class Table:
    """A table, before it is rendered.

    Args:
        title: One line.
        notes: Lines about the numbers: encoder, seeds, tasks.
        headings: One tuple of lines per column; the first column names the strategies.
        rows: Cells, as many as headings.
        footnotes: Reasons for empty cells, and the meaning of marks.
    """

    title: str
    notes: tuple[str, ...]
    headings: tuple[tuple[str, ...], ...]
    rows: tuple[tuple[Cell, ...], ...]
    footnotes: tuple[str, ...]


def build_table(document: Mapping[str, Any]) -> Table:
    """Lay out the summary of a results document (see ``docs/results.md``); it is not computed again.

    Rows are strategies. Columns are the tasks, then ACC, BWT and forgetting where there are matrices, then what the
    training cost.
    """
    entries = {(entry["strategy"], entry["task"] or entry["metric"]): entry for entry in document["summary"]}
    tasks = [task["name"] for task in document["tasks"]]
    strategies = strategies_of(document)
    lacking = {s: [task for task in tasks if (s, task) not in entries] for s in strategies}
    columns: list[tuple[str, ...]] = [("strategy",)]
    cells = [[Cell(strategy)] for strategy in strategies]
    for task in document["tasks"]:
        columns.append((task["name"], metric_name(task["primary"]), *["synthetic"][: task["source"] == "synthetic"]))
        _add_column(cells, [entries.get((s, task["name"])) for s in strategies], comparable=[True] * len(strategies))
    for metric, heading in SEQUENCE.items() if document["matrices"] else ():
        columns.append((heading,))
        values = [entries.get((s, metric), {"metric": metric, "mean": None, "interval": None}) for s in strategies]
        _add_column(cells, values, comparable=[not lacking[s] for s in strategies])
    for column in summed_columns(document):
        columns.append(column.heading)
        for row, strategy in zip(cells, strategies, strict=True):
            own = (entries.get((strategy, task), {}) for task in tasks)
            row.append(Cell(column.text([entry[column.key] for entry in own if column.key in entry])))
    rows = tuple(tuple(row) for row in cells)
    return Table(_title(document), _notes(document), tuple(columns), rows, _footnotes(document, rows, lacking))


def strategies_of(document: Mapping[str, Any]) -> list[str]:
    """Return the strategies of a document in the order in which they were run; those that could not run come last."""
    return list(dict.fromkeys(cell["strategy"] for cell in [*document["runs"], *document["not_run"]]))


def judged_split(document: Mapping[str, Any]) -> str:
    """Return the split that the results were measured on: ``test``, or ``validation`` where choices are made."""
    split: str = document["settings"].get("judged", "test")
    return split


def synthetic_mark(document: Mapping[str, Any]) -> str:
    """Return ``synthetic data``, ``partly synthetic: NAMES`` or nothing: which a title must contain."""
    names = [task["name"] for task in document["tasks"] if task["source"] == "synthetic"]
    if len(names) == len(document["tasks"]):
        return "synthetic data"
    return f"partly synthetic: {', '.join(names)}" if names else ""


def seeds_of(document: Mapping[str, Any]) -> list[int]:
    """Return the seeds of a document, sorted."""
    return sorted({run["seed"] for run in document["runs"]})


def to_markdown(table: Table) -> str:
    """Render a table for GitHub: a heading, notes, the table with the best of each column in bold, footnotes."""
    lines = [f"# {_escape(table.title)}", "", *(f"- {_escape(note)}" for note in table.notes), ""]
    lines.append(f"| {' | '.join('<br>'.join(map(_escape, heading)) for heading in table.headings)} |")
    lines.append(f"|{'|'.join([':---'] + ['---:'] * (len(table.headings) - 1))}|")
    for row in table.rows:
        lines.append(f"| {' | '.join(map(_marked, row))} |")
    if table.footnotes:
        lines += ["", *(f"- {_escape(note)}" for note in table.footnotes)]
    return "\n".join(lines) + "\n"


def to_rich(table: Table) -> rich.table.Table:
    """Render a table for the terminal; footnotes and notes become its caption.

    Four tasks with intervals fit into 120 columns. In less space a cell is wrapped: no digit is cut off.
    """
    import rich.box
    import rich.table
    from rich.text import Text

    shown = rich.table.Table(
        title=Text(table.title, style="bold"),
        title_justify="left",
        caption=Text("\n".join([*table.footnotes, *table.notes])),
        caption_justify="left",
        box=rich.box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for position, heading in enumerate(table.headings):
        shown.add_column(
            Text("\n".join(heading)), justify="right" if position else "left", overflow="fold", no_wrap=position == 0
        )
    for row in table.rows:
        styles = ["bold" if cell.best else "bright_black" if cell.published else "" for cell in row]
        shown.add_row(*(Text(cell.text, style=style) for cell, style in zip(row, styles, strict=True)))
    return shown


def _add_column(cells: list[list[Cell]], column: Sequence[Entry | None], comparable: Sequence[bool]) -> None:
    """Append a cell to each row; the best mean, as shown, is marked in every row that has it."""
    means = {i: e["mean"] for i, e in enumerate(column) if e and e["mean"] is not None and comparable[i]}
    lowest = any(e and e["metric"] == "forgetting" for e in column)
    rounded = {i: show(column[i]["metric"], mean) for i, mean in means.items()}  # type: ignore[index]
    ranked = sorted(means, key=lambda i: means[i], reverse=not lowest)
    best = rounded[ranked[0]] if len(set(rounded.values())) > 1 else None
    for i, (row, entry) in enumerate(zip(cells, column, strict=True)):
        text = show(entry["metric"], entry["mean"], entry["interval"]) if entry else "–"
        mark = "" if comparable[i] or text == "n/a" else "†"
        row.append(Cell(text + mark, best=best is not None and rounded.get(i) == best))


def show_epochs(document: Mapping[str, Any]) -> str:
    """Return for how many epochs a document's tasks were trained, separately if they differ; empty if not recorded."""
    settings = document["settings"]
    if "epochs" in settings:
        return str(settings["epochs"])
    return ", ".join(f"{own['epochs']} ({name})" for name, own in settings.get("tasks", {}).items())


def _title(document: Mapping[str, Any]) -> str:
    mark = synthetic_mark(document)
    return f"Results on the {judged_split(document)} splits{f' ({mark})' if mark else ''}"


def _notes(document: Mapping[str, Any]) -> tuple[str, ...]:
    encoder, seeds = document["encoder"], seeds_of(document)
    run = f"{len(seeds)} seed{'s' if len(seeds) != 1 else ''}"
    if epochs := show_epochs(document):
        run += f", epochs: {epochs}"
    if "labels" in document["settings"]:
        run += f", trained on {100 * document['settings']['labels']:g} % of the labels"
    spread = "± half the 95 % interval of the mean over seeds" if len(seeds) > 1 else "one seed: no intervals"
    notes = [
        f"encoder {encoder['name']} ({show_count(encoder['parameters'])} parameters, weights: {encoder['weights']}); "
        f"{run}; {spread}"
    ]
    if mask := document["settings"].get("mask"):
        share = 100 * mask["parameters"] / encoder["parameters"]
        notes.append(
            f"mask {mask['name']} of each world: {show_count(mask['parameters'])} parameters, {share:.0f} % of the "
            "encoder's"
        )
    for task in document["tasks"]:
        split = judged_split(document)
        scored = sorted({r["n"] for r in document["runs"] if r["task"] == task["name"] and r["split"] == split})
        n = " to ".join(f"{n:,}" for n in dict.fromkeys(scored[:1] + scored[-1:])) or "none"
        notes.append(f"{task['name']} ({task['source']}): {task['kind']}, n scored {n}, {_about(task)}")
        if document["settings"].get("tasks", {}).get(task["name"], {}).get("balanced"):
            notes[-1] += "; trained on equally frequent classes"
    if ceiling := document["settings"].get("universal_ceiling"):
        notes.append(
            f"upper bound for these synthetic worlds: one label per face matches {', '.join(ceiling['tasks'])} on at "
            f"most {100 * ceiling['accuracy']:.1f} % of the faces on average; each world's own rule matches on all"
        )
    if document["matrices"]:
        names = dict.fromkeys(metric_name(task["primary"]).removesuffix(" %") for task in document["tasks"])
        mixed = f"; they mix {', '.join(names)}" if len(names) > 1 else ""
        notes.append(f"ACC, BWT and forgetting are means over tasks, times 100{mixed}")
    return tuple(notes)


def _about(task: Mapping[str, Any]) -> str:
    """Return how labels and splits were made, which people are in both train and test, and how faces were found."""
    parts = [f"label rule: {task.get('label_rule', {}).get('test', 'not stated')}"]
    if protocol := task.get("protocol"):
        parts.append(f"protocol: {protocol}")
    if folds := task.get("folds"):
        ran = list(dict.fromkeys(folds["held_out"]))
        rest = "" if len(ran) == folds["of"] else f"; --seeds {folds['of']} runs all of them"
        parts.append(f"{len(ran)} of {folds['of']} folds ran, one per seed, holding out {', '.join(ran)}{rest}")
    if (shared := task.get("shared_subjects")) is not None:
        parts.append(f"people in both train and test: {', '.join(shared) or 'none'}")
    if found := task.get("detection", {}).get("test"):
        share = 1 - found["none"] / found["images"]
        parts.append(f"{found['detector']} found a face in {100 * share:.1f} % of {found['images']:,} test images")
    return "; ".join(parts)


def _footnotes(
    document: Mapping[str, Any], cells: Sequence[Sequence[Cell]], lacking: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    reasons = {(cell["strategy"], cell["task"]): cell["reason"] for cell in document["not_run"]}
    missing: dict[tuple[str, str], list[str]] = {}
    for strategy, names in lacking.items():
        for task in names:
            missing.setdefault((task, reasons.get((strategy, task), "no result yet")), []).append(strategy)
    notes = [f"– {task} ({', '.join(names)}): {reason}" for (task, reason), names in missing.items()]
    texts = {cell.text for row in cells for cell in row}
    if any(text.endswith("†") for text in texts):
        notes.append("† over the tasks that ran: not comparable with the other rows")
    if "n/a" in texts:
        notes.append("n/a: not defined, as transfer is for joint training or a single task")
    return tuple(notes)


def _marked(cell: Cell) -> str:
    """Return a cell as Markdown; published numbers are in italics."""
    text = _escape(cell.text)
    return f"**{text}**" if cell.best else f"*{text}*" if cell.published else text


def _escape(text: str) -> str:
    """Keep names from being read as Markdown or HTML."""
    return re.sub(r"([\\|*_`<>\[\]])", r"\\\1", text)
