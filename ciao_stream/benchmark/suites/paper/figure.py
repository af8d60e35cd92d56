"""Figure 4: how many parameters each scheme trains, averaged over the tasks."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ciao_stream.benchmark.suites import SCHEMES
from ciao_stream.benchmark.suites.paper.evidence import Comparison
from ciao_stream.report.figures import COLOURS
from ciao_stream.report.formats import show_count
from ciao_stream.runtime.atomic import write_bytes


def trained_parameters(compared: Sequence[Comparison]) -> dict[tuple[str, str, bool], float]:
    """Return the mean over tasks of trained parameters, by encoder, scheme, and whether with CIAO."""
    found: dict[tuple[str, str, bool], dict[str, int]] = {}
    for one in compared:
        for masked, result in ((False, one.without), (True, one.with_ciao)):
            found.setdefault((one.encoder, one.scheme, masked), {})[one.task] = result.parameters
    return {key: float(np.mean([*by_task.values()])) for key, by_task in found.items()}


def write_figure_4(path: Path, compared: Sequence[Comparison]) -> None:
    """Draw the bars, whole or not at all; the axis is logarithmic, as ``full`` would dwarf all else.

    Raises:
        CiaoError: The file cannot be written.
    """
    counts = trained_parameters(compared)
    encoders = list(dict.fromkeys(one.encoder for one in compared))
    figure = Figure(figsize=(2 + 2.6 * len(encoders), 3.8), layout="constrained")
    axes = figure.add_subplot()
    width = 0.8 / (2 * len(SCHEMES))
    for s, scheme in enumerate(SCHEMES):
        for masked in (False, True):
            place = np.arange(len(encoders)) + (2 * s + masked - len(SCHEMES) + 0.5) * width
            heights = [counts.get((encoder, scheme, masked), np.nan) for encoder in encoders]
            label = f"{scheme}{'+ciao' * masked}"
            hatch = "///" if masked else ""
            axes.bar(place, heights, 0.9 * width, label=label, color=COLOURS[s], hatch=hatch, ec="white", lw=0.3)
            for x, height in zip(place, heights, strict=True):
                if not np.isnan(height):
                    axes.text(x, height, show_count(round(height)), ha="center", va="bottom", fontsize=7)
    axes.set_yscale("log")
    axes.set_xticks(np.arange(len(encoders)), encoders)
    axes.set_ylabel("trained parameters, mean over tasks")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=150)
    write_bytes(path, data.getvalue())
