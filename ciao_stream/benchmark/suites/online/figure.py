"""The prequential curves of all strategies, task by task."""

from __future__ import annotations

import io
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ciao_stream.benchmark.suites.online.evidence import bound
from ciao_stream.report.figures import COLOURS
from ciao_stream.report.formats import metric_name, show
from ciao_stream.report.table import judged_split
from ciao_stream.runtime.atomic import write_bytes

LINES = ("-", "--")


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
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=150)
    write_bytes(path, data.getvalue())
