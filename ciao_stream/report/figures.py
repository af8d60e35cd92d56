"""The figures of a benchmark, drawn from the results document without any state of pyplot."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ciao_stream.report.formats import metric_name, show
from ciao_stream.report.table import judged_split, seeds_of, strategies_of, synthetic_mark
from ciao_stream.runtime.atomic import write_bytes

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#777777")
"""Okabe and Ito's palette, which colour-blind readers can tell apart; more strategies than colours are hatched."""
HATCHES = ("", "///", "...", "xxx")


def write_figures(document: Mapping[str, Any], out_dir: str | os.PathLike[str]) -> list[Path]:
    """Write ``bars.png`` and, where there are matrices, ``r_matrix.png`` into ``out_dir``, each whole or not at all.

    Raises:
        CiaoError: A file cannot be written.
    """
    figures = {"bars.png": bar_figure(document)}
    if document["matrices"]:
        figures["r_matrix.png"] = r_matrix_figure(document)
    for name, figure in figures.items():
        save_figure(Path(out_dir) / name, figure)
    return [Path(out_dir) / name for name in figures]


def save_figure(path: Path, figure: Figure, dpi: int = 150) -> None:
    """Write a figure as a PNG file, whole or not at all.

    Raises:
        CiaoError: The file cannot be written.
    """
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=dpi)
    write_bytes(path, data.getvalue())


def bar_figure(document: Mapping[str, Any]) -> Figure:
    """Draw the primary metric per task, one bar per strategy, with 95 % intervals over seeds where there are any."""
    tasks, strategies = document["tasks"], strategies_of(document)
    entries = {(entry["strategy"], entry["task"]): entry for entry in document["summary"] if entry["task"]}
    width = 0.84 / max(len(strategies), 1)
    figure = Figure(figsize=(max(6.4, 1.6 + len(tasks) * (0.9 + 0.2 * len(strategies))), 4.4), layout="constrained")
    axes = figure.add_subplot()
    for s, strategy in enumerate(strategies):
        place = np.arange(len(tasks)) + (s - (len(strategies) - 1) / 2) * width
        own = [entries.get((strategy, task["name"])) or {"mean": None, "interval": None} for task in tasks]
        colour, hatch = COLOURS[s % len(COLOURS)], HATCHES[s // len(COLOURS) % len(HATCHES)]
        heights, spread = ([_number(entry[key]) for entry in own] for key in ("mean", "interval"))
        axes.bar(place, heights, 0.9 * width, label=strategy, color=colour, hatch=hatch, ec="white", lw=0.3)
        axes.errorbar(place, heights, yerr=spread, fmt="none", ecolor="#222222", elinewidth=1, capsize=2)
        for x, height in zip(place, heights, strict=True):
            if math.isnan(height):
                axes.text(x, 0.005, "–", ha="center", va="bottom", color="#555555")
    axes.set_xticks(np.arange(len(tasks)), [_heading(task) for task in tasks])
    axes.axhline(0, color="#222222", linewidth=0.8)
    axes.set_xlim(-0.5, len(tasks) - 0.5)
    lowest = min((e["mean"] - (e["interval"] or 0) for e in entries.values() if e["mean"] is not None), default=0.0)
    axes.set_ylim(lowest - 0.05 if lowest < 0 else 0.0, 1.0)
    axes.set_ylabel(f"primary metric, {judged_split(document)} split")
    axes.grid(axis="y", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False)
    seeds = len(seeds_of(document))
    _title(figure, document, f"mean of {seeds} seeds, 95 % intervals" if seeds > 1 else "one seed, no intervals")
    return figure


def r_matrix_figure(document: Mapping[str, Any]) -> Figure:
    """Draw R per strategy: each task's primary metric (columns) after each task's training (rows), mean over seeds.

    Cells that were not evaluated, by any one seed, stay blank.
    """
    matrices = {
        strategy: np.mean(np.array(list(by_seed.values()), dtype=np.float64), axis=0)
        for strategy, by_seed in document["matrices"].items()
    }
    tasks = document["tasks"]
    across = min(len(matrices), 4)
    down = math.ceil(len(matrices) / across)
    size = max(2.6, 0.75 * len(tasks))
    figure = Figure(figsize=(across * (size + 0.5) + 1.4, down * (size + 0.75) + 0.7), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False, sharey=True)
    finite = [value for r in matrices.values() for value in r.ravel() if not math.isnan(value)]
    lowest = min([0.0, *finite])
    colours = ScalarMappable(Normalize(lowest, 1.0), cmap="cividis")
    for panel, (strategy, matrix) in zip(panels.flat, matrices.items(), strict=False):
        panel.imshow(matrix, cmap=colours.cmap, norm=colours.norm, aspect="auto")
        panel.set_title(strategy, fontsize=10)
        panel.set_xticks(range(len(tasks)), [_heading(task) for task in tasks], fontsize=7)
        panel.set_yticks(range(len(tasks) + 1), ["untrained", *(f"after {task['name']}" for task in tasks)], fontsize=8)
        panel.tick_params(length=0)
        _write_values(panel, matrix, [task["primary"] for task in tasks], dark_below=(lowest + 1) / 2)
    for panel in panels.flat[len(matrices) :]:
        panel.set_axis_off()
    figure.colorbar(colours, ax=panels, shrink=0.8, pad=0.02, label=f"primary metric, {judged_split(document)} split")
    _title(figure, document, "metric of each task (column) after training each (row), in order")
    return figure


def _write_values(panel: Axes, matrix: npt.NDArray[np.float64], metrics: list[str], dark_below: float) -> None:
    for (i, j), value in np.ndenumerate(matrix):
        if not math.isnan(value):
            colour = "white" if value < dark_below else "black"
            panel.text(j, i, show(metrics[j], value), ha="center", va="center", fontsize=8, color=colour)


def _title(figure: Figure, document: Mapping[str, Any], what: str) -> None:
    mark = synthetic_mark(document)
    title = f"encoder {document['encoder']['name']}: {what}"
    figure.suptitle(f"{title}\n{mark}" if mark else title, fontsize=10)


def _heading(task: Mapping[str, Any]) -> str:
    lines = [task["name"], metric_name(task["primary"]).removesuffix(" %")]
    return "\n".join([*lines, "synthetic"] if task["source"] == "synthetic" else lines)


def _number(value: float | None) -> float:
    return math.nan if value is None else value
