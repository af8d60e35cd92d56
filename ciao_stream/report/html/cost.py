"""What each strategy reached against what its training cost."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from ciao_stream.report.formats import metric_name
from ciao_stream.report.html.charts import cost
from ciao_stream.report.html.summary import spots, whole
from ciao_stream.report.html.svg import key
from ciao_stream.report.html.values import Results, number

FLOOR, CEILING = "dl", "full"
"""Between what these two reach lies the gap that an adapter closes."""


def context(results: Results) -> dict[str, Any]:
    """Return what the template needs."""
    panels = []
    for task in results.tasks:
        if found := spots(results, task["name"]):
            title = f"{task['name']}: {metric_name(task['primary'])} against seconds to train, one mark per strategy"
            drawing = cost(title, task["primary"], metric_name(task["primary"]), found)
            panels.append({"name": task["name"], "synthetic": task["source"] == "synthetic", "svg": drawing})
    compared = [spot for spot in spots(results, None, "acc") if whole(results, spot.name)]
    if compared and len(results.tasks) > 1:
        title = "mean over tasks against seconds to train all of them, strategies that ran every task"
        panels.insert(0, {"name": "all tasks", "synthetic": False, "svg": cost(title, "acc", "ACC", compared)})
    gaps = [task for task in results.tasks if _ends(results, task["name"])]
    return {
        "panels": panels,
        "keys": [(key(i), name) for i, name in enumerate(results.strategies)],
        "tasks": [task["name"] for task in results.tasks],
        "costs": [column.heading[0] for column in results.columns],
        "gaps": [task["name"] for task in gaps],
        "rows": [_row(results, i, [task["name"] for task in gaps]) for i in range(len(results.strategies))],
    }


def _ends(results: Results, task: str) -> tuple[int, int] | None:
    """Return the places of the summary's entries for both ends of the gap, where there is one."""
    found = [results.entry(strategy, task) for strategy in (FLOOR, CEILING)]
    if not found[0] or not found[1] or found[0][1]["mean"] == found[1][1]["mean"]:
        return None
    return found[0][0], found[1][0]


def _row(results: Results, i: int, gaps: list[str]) -> dict[str, Any]:
    strategy = results.strategies[i]
    costs = []
    for task in results.tasks:
        index, entry = results.entry(strategy, task["name"]) or (0, {})
        costs += [
            number(column.show(entry[column.key]), entry[column.key], f"/summary/{index}/{column.key}")
            if column.key in entry
            else Markup("–")
            for column in results.columns
        ]
    return {"key": key(i), "name": strategy, "costs": costs, "closed": [_closed(results, strategy, t) for t in gaps]}


def _closed(results: Results, strategy: str, task: str) -> Markup:
    found, ends = results.entry(strategy, task), _ends(results, task)
    if not found or not ends:
        return Markup("–")
    places = [found[0], *ends]
    own, floor, ceiling = (results.document["summary"][place]["mean"] for place in places)
    share = (own - floor) / (ceiling - floor)
    return number(f"{100 * share:.0f}", share, "mean", [f"/summary/{place}" for place in places], "gap")
