"""Run online learners, each face once, and offline training as their bound; compare them along the stream."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ciao_stream.benchmark import run as experiment
from ciao_stream.benchmark.plan import Plan
from ciao_stream.benchmark.suites.report import report
from ciao_stream.exceptions import CiaoError
from ciao_stream.report.figures import COLOURS, save_figure
from ciao_stream.report.formats import NAMES, metric_name, show, show_count
from ciao_stream.report.html.page import NAME
from ciao_stream.report.html.suite import Findings
from ciao_stream.report.intervals import mean_interval
from ciao_stream.report.results import Document
from ciao_stream.report.table import Cell, Table, judged_split, synthetic_mark
from ciao_stream.runtime.atomic import write_text
from ciao_stream.runtime.console import ConsoleProgress
from strategies import load_strategy
from strategies.base.online import Online, read_prequential

FORMAT = "ciao_stream/online/1"

GOAL = 0.95
"""Share of what offline training reaches that an online learner is to reach."""

MEASURES = ("prequential", "judged")
"""The metric of the predictions so far in the stream, and that on the judged split."""

LINES = ("-", "--")
Entry = Mapping[str, Any]


def run(plan: Plan) -> Document:
    """Run a plan, write ``online.json`` and ``online.png`` next to the results, and report the tables.

    Args:
        plan: Its strategies learn online; others are the bound.

    Raises:
        CiaoError: As :func:`ciao_stream.benchmark.run.run`; or no strategy learns online, or none of these runs on a
            task.
    """
    online = [name for name in plan.strategies if isinstance(load_strategy(name)[0], Online)]
    if not online:
        raise CiaoError("suite online needs a strategy that learns online, such as online+ciao")
    results = experiment.run(plan, ConsoleProgress())
    ran = [run for run in results["runs"] if run["strategy"] in online]
    if not ran:
        reasons = "; ".join(f"{one['strategy']}, {one['task']}: {one['reason']}" for one in results["not_run"])
        raise CiaoError(f"suite online: no strategy that learns online runs on a task ({reasons})")
    curves = [
        {key: run[key] for key in ("strategy", "task", "seed")}
        | read_prequential(plan.out / "cells" / run["strategy"] / f"seed{run['seed']}", run["task"])
        for run in ran
    ]
    document = build_document(results, curves)
    write_text(plan.out / "online.json", json.dumps(document, indent=1, allow_nan=False) + "\n")
    write_figure(plan.out / "online.png", document)
    found = Findings(
        suite="online",
        title="Learned online",
        mark=synthetic_mark(document),
        notes=notes(document),
        tables=build_tables(document),
        document=document,
        pictures={"online.png": "Along the stream, and with offline training"},
        runs={NAME: "after the stream, and offline"},
    )
    report(found, plan.out)
    return document


def build_document(results: Document, curves: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Put together what ``online.json`` holds.

    Args:
        results: The results document of all strategies.
        curves: Per strategy that learned online, task and seed what
            :func:`strategies.base.online.read_prequential` returned.

    Returns:
        ``command``, ``environment``, ``encoder``, ``tasks``, ``settings``, ``not_run`` as in the results; ``runs``, the
        curves; ``points``, entries ``{strategy, task, n, measure, metric, mean, interval, n_seeds, difference}``, of
        which the last is the mean and interval of the difference to the first strategy over the same seeds, null for
        itself; ``offline``, entries of the strategies that did not learn online, as in the summary of the results; and
        ``goal``, per task and strategy ``n``, the first point at which the judged mean reaches :data:`GOAL` of the
        best offline mean, null where none does.
    """
    online = list(dict.fromkeys(one["strategy"] for one in curves))
    offline = [e for e in results["summary"] if e["task"] and e["strategy"] not in online and e["mean"] is not None]
    points = [entry for task in results["tasks"] for entry in _points(task, curves, online)]
    shared = ("command", "environment", "encoder", "tasks", "settings", "not_run")
    return {
        "format": FORMAT,
        **{key: results[key] for key in shared},
        "runs": [dict(one) for one in curves],
        "points": points,
        "offline": offline,
        "goal": [_goal(task["name"], name, points, offline) for task in results["tasks"] for name in online],
    }


def bound(offline: Sequence[Mapping[str, Any]], task: str) -> float | None:
    """Return the best offline mean of a task, None where nothing was trained offline."""
    return max((entry["mean"] for entry in offline if entry["task"] == task), default=None)


def _points(task: Mapping[str, Any], curves: Sequence[Mapping[str, Any]], online: Sequence[str]) -> list[Entry]:
    metric, entries = task["primary"], list[Entry]()
    values: dict[tuple[str, int, str], dict[int, float]] = {}
    for one in curves:
        for point in one["points"] if one["task"] == task["name"] else ():
            for measure in MEASURES:
                if point[measure][metric] is not None:
                    key = (one["strategy"], point["n"], measure)
                    values.setdefault(key, {})[one["seed"]] = point[measure][metric]
    for (strategy, n, measure), by_seed in values.items():
        first = values.get((online[0], n, measure), {})
        shared = sorted(first.keys() & by_seed.keys()) if strategy != online[0] else []
        mean, interval = _plain(mean_interval([*by_seed.values()]))
        difference = _plain(mean_interval([first[seed] - by_seed[seed] for seed in shared])) if shared else None
        entries.append(
            {
                "strategy": strategy, "task": task["name"], "n": n, "measure": measure, "metric": metric,
                "mean": mean, "interval": interval, "n_seeds": len(by_seed), "difference": difference,
            }
        )  # fmt: skip
    return entries


def _goal(task: str, strategy: str, points: Sequence[Entry], offline: Sequence[Mapping[str, Any]]) -> Entry:
    best = bound(offline, task)
    own = [e for e in points if (e["task"], e["strategy"], e["measure"]) == (task, strategy, "judged")]
    reached = [e["n"] for e in own if best is not None and e["mean"] >= GOAL * best]
    return {"task": task, "strategy": strategy, "n": min(reached, default=None)}


def _plain(pair: tuple[float, float]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in pair]


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


def write_figure(path: Path, document: Mapping[str, Any]) -> None:
    """Draw, per task, the metric of each part of the stream, mean over seeds, and what offline training reaches.

    Raises:
        CiaoError: The file cannot be written.
    """
    tasks = [t for t in document["tasks"] if any(run["task"] == t["name"] for run in document["runs"])]
    strategies = list(dict.fromkeys(run["strategy"] for run in document["runs"]))
    figure = Figure(figsize=(7.2, 0.6 + 3.4 * len(tasks)), layout="constrained")
    for axes, task in zip(figure.subplots(len(tasks), squeeze=False)[:, 0], tasks, strict=True):
        for s, strategy in enumerate(strategies):
            own = [run for run in document["runs"] if (run["strategy"], run["task"]) == (strategy, task["name"])]
            if own:
                windows = [run["windows"] for run in own]  # the shortest streams, of folds, may differ in their number
                ends = [window["last"] for window in max(windows, key=len)]
                parts = [[window["value"] for window in part if window] for part in zip_longest(*windows)]
                mean = [np.array(values, dtype=np.float64).mean() for values in parts]
                line = LINES[s // len(COLOURS) % len(LINES)]
                axes.plot(ends, mean, line, color=COLOURS[s % len(COLOURS)], label=strategy, lw=1.3)
        best = bound(document["offline"], task["name"])
        if best is not None:
            said = f"offline, {judged_split(document)} split: {show(task['primary'], best)}"
            axes.axhline(best, color="#222222", lw=1, ls=":", label=said)
        axes.set_title(
            task["name"] + (" (synthetic)" if task["source"] == "synthetic" else ""), loc="left", fontsize=10
        )
        axes.set_xlabel("faces so far")
        axes.set_ylabel(f"{metric_name(task['primary']).removesuffix(' %')}, prequential")
        axes.grid(color="#dddddd", lw=0.7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=7, ncols=2, loc="lower right")
    save_figure(path, figure)
