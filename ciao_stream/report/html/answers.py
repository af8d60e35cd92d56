"""Task by task: metrics, confusion, predictions against annotations, and every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from ciao_stream.report.columns import Column, run_columns
from ciao_stream.report.formats import PERCENT
from ciao_stream.report.html.charts import scatter
from ciao_stream.report.html.sequence import shade
from ciao_stream.report.html.svg import key
from ciao_stream.report.html.values import Results, Run, as_json, mean_over, number, unit

DIGEST = 12
"""Characters of a digest that are shown."""


def context(results: Results) -> dict[str, Any]:
    """Return what the template needs."""
    return {"of_tasks": [_of_task(results, task) for task in results.tasks]}


def _of_task(results: Results, task: Mapping[str, Any]) -> dict[str, Any]:
    ran = [(i, s, runs) for i, s in enumerate(results.strategies) if (runs := results.runs(s, task["name"]))]
    names = [*dict.fromkeys(name for _, _, runs in ran for run in runs for name in run.data["metrics"])]
    columns = run_columns(results.document["runs"])
    drawn = {"categorical": _confusion, "votes": _confusion, "multilabel": _decisions, "dimensional": _points}
    draw, detail = drawn[task["kind"]], DETAIL[task["kind"]]
    recorded = [(i, s, found) for i, s, _ in ran if (found := results.with_detail(s, task["name"], detail))]
    return {
        "task": task,
        "metrics": [unit(name) for name in names],
        "rows": [{"key": key(i), "name": s, "cells": [mean_over(runs, name) for name in names]} for i, s, runs in ran],
        "kind": detail,
        "shown": [draw(task, i, s, found) for i, s, found in recorded],
        "missing": [s for _, s, _ in ran if not results.with_detail(s, task["name"], detail)],
        "costs": [column.run_heading for column in columns],
        "runs": [_run(run, names, columns) for _, _, runs in ran for run in runs],
    }


DETAIL = {"categorical": "confusion", "votes": "confusion", "multilabel": "decisions", "dimensional": "points"}
"""The detail of a run that shows its predictions."""


def prefixes(labels: Sequence[str], least: int = 3) -> list[str]:
    """Return the shortest beginnings, of at least so many letters, that still tell the labels apart.

    >>> prefixes(["happiness", "sadness", "surprise"]), prefixes(["contempt", "content"])
    (['hap', 'sad', 'sur'], ['contem', 'conten'])
    """
    for length in range(least, max(map(len, labels))):
        short = [label[:length] for label in labels]
        if len(set(short)) == len(labels):
            return short
    return [*labels]


def _confusion(task: Mapping[str, Any], i: int, strategy: str, runs: Sequence[Run]) -> dict[str, Any]:
    counts = np.sum([run.data["details"]["confusion"] for run in runs], axis=0)
    labels, rows = task["labels"], []
    for r, label in enumerate(labels):
        total = int(counts[r].sum())
        cells = []
        for c, count in enumerate(counts[r].tolist()):
            share = count / total if total else 0.0
            cells.append({
                "text": f"{100 * share:.0f}" if total else "", "value": count, "at": f"{r}/{c}", "own": r == c,
                "shade": shade(share) if count else Markup(' class="none"'),
            })  # fmt: skip
        rows.append({"name": label, "cells": cells, "total": f"{total:,}"})
    return {**_head(i, strategy, runs, "confusion"), "labels": list(zip(prefixes(labels), labels, strict=True)),
            "rows": rows}  # fmt: skip


def _decisions(task: Mapping[str, Any], i: int, strategy: str, runs: Sequence[Run]) -> dict[str, Any]:
    counts = np.sum([run.data["details"]["decisions"] for run in runs], axis=0)
    order = (3, 1, 2, 0)
    rows = [
        {
            "name": label,
            "cells": [{"value": int(row[k]), "at": f"{r}/{k}"} for k in order],
            "f1": mean_over(runs, f"f1_{label}"),
        }
        for r, (label, row) in enumerate(zip(task["labels"], counts.tolist(), strict=True))
    ]
    return {**_head(i, strategy, runs, "decisions"), "rows": rows}


def _points(task: Mapping[str, Any], i: int, strategy: str, runs: Sequence[Run]) -> dict[str, Any]:
    first = runs[0]
    points = first.data["details"]["points"]
    panels = []
    for column, label in enumerate(task["labels"]):
        title = f"{strategy}: predictions against annotations of {label}, seed {first.data['seed']}"
        drawing = scatter(title, label, points, column, first.pointer)
        panels.append({"label": label, "svg": drawing, "ccc": mean_over(runs, f"ccc_{label}")})
    shown, of = len(points["target"]), points["of"]
    return {**_head(i, strategy, runs, "points"), "panels": panels, "seed": first.data["seed"], "n": shown, "of": of}


def _head(i: int, strategy: str, runs: Sequence[Run], detail: str) -> dict[str, Any]:
    base = " ".join(f"{run.pointer}/details/{detail}" for run in runs)
    return {"name": strategy, "key": key(i), "base": base, "how": "sum" if len(runs) > 1 else "", "seeds": len(runs)}


def _run(run: Run, names: Sequence[str], columns: Sequence[Column]) -> dict[str, Any]:
    data, at = run.data, run.pointer
    digest = data["state_sha256"] or "–"
    plain = [
        number(f"{data['n']:,}", data["n"], f"{at}/n"),
        *(number(_exact(name, data["metrics"].get(name)), data["metrics"].get(name), f"{at}/metrics/{name}")
          for name in names),
        *(number(column.show_run(data[column.key]), data[column.key], f"{at}/{column.key}") if column.key in data
          else Markup("–")
          for column in columns),
    ]  # fmt: skip
    return {"strategy": data["strategy"], "seed": as_json(data["seed"]), "at": at, "cells": plain,
            "digest": digest[:DIGEST], "whole": digest}  # fmt: skip


def _exact(name: str, value: float | None) -> str:
    """Return a single measurement: one more digit than a mean has."""
    if value is None:
        return "n/a"
    return f"{100 * value:.2f}" if name in PERCENT else f"{value:.3f}"
