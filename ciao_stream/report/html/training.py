"""How the losses fell, and whether confidence means what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from ciao_stream.report.html.charts import Line, lines, reliability
from ciao_stream.report.html.svg import key
from ciao_stream.report.html.values import Results, Run, detail_mean

DECISION = ("decision", "loss")
"""Terms that are shown together: the head's loss, and the whole loss of a shared head."""


def curves(results: Results) -> dict[str, Any]:
    """Return what the template of the learning curves needs."""
    shown = []
    for task in results.tasks:
        panels = []
        for label, terms in (("loss", DECISION), ("contrastive term", ("contrast",))):
            found = [line for i, s in enumerate(results.strategies) if (line := _line(results, task, i, s, terms))]
            if found:
                title = f"{task['name']}: {label} over epochs, one line per strategy, mean over seeds"
                panels.append(lines(title, label, found))
        shown.append({"task": task, "panels": panels})
    trained = [
        (i, s) for i, s in enumerate(results.strategies)
        if any(results.with_detail(s, task["name"], "curve") for task in results.tasks)
    ]  # fmt: skip
    return {"of_tasks": shown, "keys": [(key(i), s) for i, s in trained], "recorded": bool(trained)}


def _line(results: Results, task: Mapping[str, Any], i: int, strategy: str, terms: Sequence[str]) -> Line | None:
    runs = results.with_detail(strategy, task["name"], "curve")
    term = next((term for term in terms if runs and all(term in run.data["details"]["curve"] for run in runs)), None)
    if term is None:
        return None
    values = [run.data["details"]["curve"][term] for run in runs]
    if len({len(one) for one in values}) > 1:
        return None
    mean = np.array(values, dtype=np.float64).mean(axis=0)
    shown = [None if np.isnan(value) else float(value) for value in mean]
    return Line(i, shown, " ".join(run.pointer for run in runs), f"details/curve/{term}")


def calibration(results: Results) -> dict[str, Any]:
    """Return what the template of the calibration needs."""
    tasks = [task for task in results.tasks if task["kind"] != "dimensional"]
    recorded = [
        task for task in tasks if any(results.with_detail(s, task["name"], "calibration") for s in results.strategies)
    ]
    rows = []
    for i, strategy in enumerate(results.strategies):
        cells = [_ece(results.with_detail(strategy, task["name"], "calibration")) for task in recorded]
        if any(cells):
            rows.append({"key": key(i), "name": strategy, "cells": [cell or Markup("–") for cell in cells]})
    return {
        "tasks": recorded,
        "without": [task["name"] for task in results.tasks if task["kind"] == "dimensional"],
        "missing": [task["name"] for task in tasks if task not in recorded],
        "rows": rows,
        "diagrams": [(task, _diagrams(results, task)) for task in recorded],
    }


def _ece(runs: Sequence[Run]) -> Markup | None:
    values = [run.data["details"]["calibration"]["ece"] for run in runs]
    return detail_mean(runs, "ece", "details/calibration/ece", values) if runs else None


def _diagrams(results: Results, task: Mapping[str, Any]) -> list[dict[str, Any]]:
    shown = []
    for i, strategy in enumerate(results.strategies):
        runs = results.with_detail(strategy, task["name"], "calibration")
        if runs:
            base = " ".join(f"{run.pointer}/details/calibration" for run in runs)
            title = f"{task['name']}, {strategy}: share of right predictions by confidence"
            drawing = reliability(title, i, _pooled(runs), base, "pooled")
            shown.append({"key": key(i), "name": strategy, "svg": drawing, "ece": _ece(runs)})
    return shown


def _pooled(runs: Sequence[Run]) -> dict[str, list[float | None]]:
    """Return the bins of all runs together."""
    n = np.array([run.data["details"]["calibration"]["n"] for run in runs], dtype=np.float64)
    total = n.sum(axis=0)
    pooled: dict[str, list[float | None]] = {"n": [int(value) for value in total]}
    for name in ("confidence", "right"):
        values = np.array([run.data["details"]["calibration"][name] for run in runs], dtype=np.float64)
        sums = (n * np.nan_to_num(values)).sum(axis=0)
        pooled[name] = [float(s / t) if t else None for s, t in zip(sums, total, strict=True)]
    return pooled
