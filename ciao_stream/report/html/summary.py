"""The head of the report: what was run, what came out, and how sure it is."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from ciao_stream.report.formats import metric_name
from ciao_stream.report.html.charts import Spot, dots
from ciao_stream.report.html.svg import key
from ciao_stream.report.html.values import Results, entry_value, number
from ciao_stream.report.table import SEQUENCE, build_table

NAMED = 3
"""Tasks that a title names."""

COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def context(results: Results) -> dict[str, Any]:
    """Return what the template needs."""
    table = build_table(results.document)
    return {
        "lead": _lead(results),
        "columns": [*_task_columns(results), *_sequence_columns(results)],
        "costs": [column.heading for column in results.columns],
        "rows": [_row(results, i, [cell.best for cell in table.rows[i]]) for i in range(len(results.strategies))],
        "notes": table.notes,
        "footnotes": table.footnotes,
        "panels": [(task, metric_name(task["primary"]), _dots(results, task)) for task in results.tasks],
    }


def title(results: Results) -> str:
    """Return the page's title: the tasks by name where they are few."""
    names = [task["name"] for task in results.tasks]
    tasks = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    if len(names) > NAMED:
        tasks = counted(len(names), "task", "tasks")
    return f"{counted(len(results.strategies), 'strategy', 'strategies').capitalize()} on {tasks}"


def counted(n: int, one: str, many: str) -> str:
    """Return a number of things in words.

    >>> counted(1, "task", "tasks"), counted(6, "task", "tasks"), counted(30, "task", "tasks")
    ('one task', 'six tasks', '30 tasks')
    """
    return f"{COUNTS[n] if n < len(COUNTS) else n} {one if n == 1 else many}"


def spots(results: Results, task: str | None, metric: str | None = None) -> list[Spot]:
    """Return a result of every strategy that has it, in their order."""
    found = []
    for i, strategy in enumerate(results.strategies):
        index_entry = results.entry(strategy, task, metric)
        if index_entry and index_entry[1]["mean"] is not None:
            index, entry = index_entry
            at = f"/summary/{index}/mean"
            found.append(Spot(i, strategy, entry["mean"], entry["interval"], at, entry["train_seconds"]))
    return found


def whole(results: Results, strategy: str) -> bool:
    """Return whether a strategy ran every task: only then are its means comparable."""
    return all(results.runs(strategy, task["name"]) for task in results.tasks)


def _dots(results: Results, task: Any) -> Markup:
    return dots(f"{task['name']}: {metric_name(task['primary'])} of each strategy with its 95 % interval",
                task["primary"], spots(results, task["name"]))  # fmt: skip


def _lead(results: Results) -> list[Markup]:
    """Return the leading sentences."""
    encoder = results.document["encoder"]["name"]
    sentences = [
        Markup(
            "{}, learned in this order over the frozen encoder <b>{}</b>; {} each; evaluated on the {} splits."
        ).format(
            Markup(", ").join(Markup("<b>{}</b>").format(task["name"]) for task in results.tasks),
            encoder,
            counted(len(results.seeds), "seed", "seeds"),
            results.split,
        )
    ]
    compared = [spot for spot in spots(results, None, "acc") if whole(results, spot.name)]
    if len(compared) > 1:
        best = max(compared, key=lambda spot: spot.value)
        sentences.append(
            Markup("Highest mean over tasks (ACC) of the {} that ran every task: <b>{}</b>, {}.").format(
                counted(len(compared), "strategy", "strategies"), best.name, _value(results, best.name, "acc")
            )
        )
    return sentences + _forgotten(results)


def _forgotten(results: Results) -> list[Markup]:
    found = spots(results, None, "forgetting")
    none = [spot.name for spot in found if spot.value == 0]
    sentences = []
    if none and len(results.tasks) > 1:
        names = Markup(", ").join(Markup("<b>{}</b>").format(name) for name in none)
        sentences.append(Markup("Forgetting is exactly 0 for {}.").format(names))
    most = max(found, key=lambda spot: spot.value, default=None)
    if most and most.value > 0:
        value = _value(results, most.name, "forgetting")
        sentences.append(Markup("<b>{}</b> forgets most: {} points on average.").format(most.name, value))
    return sentences


def _value(results: Results, strategy: str, metric: str) -> Markup:
    found = results.entry(strategy, None, metric)
    return entry_value(*found) if found else Markup("")


def _task_columns(results: Results) -> list[dict[str, Any]]:
    return [
        {"name": t["name"], "unit": metric_name(t["primary"]), "synthetic": t["source"] == "synthetic"}
        for t in results.tasks
    ]


def _sequence_columns(results: Results) -> list[dict[str, Any]]:
    if not results.document["matrices"]:
        return []
    return [{"name": heading, "unit": "", "synthetic": False} for heading in SEQUENCE.values()]


def _row(results: Results, i: int, best: list[bool]) -> dict[str, Any]:
    strategy = results.strategies[i]
    cells = []
    wanted: list[tuple[str | None, str | None]] = [(task["name"], None) for task in results.tasks]
    wanted += [(None, metric) for metric in SEQUENCE] if results.document["matrices"] else []
    for position, (task, metric) in enumerate(wanted, start=1):
        found = results.entry(strategy, task, metric)
        text = entry_value(*found) if found else Markup("–") if task else Markup("n/a")
        dagger = not task and found is not None and found[1]["mean"] is not None and not whole(results, strategy)
        cells.append({"text": text + (Markup("†") if dagger else Markup("")), "best": best[position]})
    return {"key": key(i), "name": strategy, "cells": [*cells, *_cost(results, strategy)]}


def _cost(results: Results, strategy: str) -> list[dict[str, Any]]:
    """Return the cells of what training cost."""
    own = [found for task in results.tasks if (found := results.entry(strategy, task["name"]))]
    cells = []
    for column in results.columns:
        base = {f"/summary/{index}": entry[column.key] for index, entry in own if column.key in entry}
        value = column.of_tasks([*base.values()])
        text = number(column.show(value), value, column.key, base, column.over_tasks) if base else Markup("–")
        cells.append({"text": text, "best": False})
    return cells
