"""The prequential curve of the streaming demo, drawn without pyplot's global state."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ciao_stream.faces.dataset import Image
from ciao_stream.report.figures import COLOURS

DETECTORS = {"adwin": ("v", COLOURS[5]), "page-hinkley": ("s", COLOURS[3]), "dummy": ("x", COLOURS[7])}
"""Marker and colour by detector."""


def curve_png(document: Mapping[str, Any], faces: Mapping[str, Sequence[Image]]) -> bytes:
    """Return the figure as a PNG.

    Args:
        document: Results of the demo.
        faces: Some frames of each person, uint8 (height, width, 3).
    """
    change, frames = document["change"], document["frames"]
    size = document["settings"]["frames"]
    window = document["settings"]["window"]
    figure = Figure(figsize=(8.4, 5.0), layout="constrained")
    strips, curve, marks = figure.subplots(3, 1, height_ratios=[1.0, 4.6, 0.9], sharex=True)
    _show_faces(strips, document, faces)
    learned = list(document["opened"])[-1]
    task = learned.partition("#")[0]
    early = window // 4  # a share of fewer predictions is noise
    curve.plot(
        frames["frame"][early:], frames["rolling"][early:], color=COLOURS[0], linewidth=2, label=f"{task}: learns"
    )
    control = np.array(frames["control_rolling"])[change:]
    after = frames["frame"][change:]
    curve.plot(after, control, color=COLOURS[5], linewidth=2, linestyle="--", label="control: stopped learning")
    for name, at in document["opened"].items():
        if at:
            curve.axvline(at, color=COLOURS[2], linewidth=1.2, linestyle=":")
            curve.annotate(
                f"{name} opened", (at, 0.03), (6, 0), textcoords="offset points", color="#00694e", fontsize=9
            )
    for axes in (curve, marks):
        axes.axvline(change, color="#222222", linewidth=1.4)
        axes.spines[["top", "right"]].set_visible(False)
    curve.set_ylim(0, 1)
    curve.set_xlim(0, size)
    curve.set_ylabel(f"accuracy, last {window} frames\n(predicted before learned)")
    curve.grid(axis="y", color="#dddddd", linewidth=0.7)
    curve.legend(loc="lower left", frameon=False, fontsize=9)
    _mark_signals(marks, document)
    identical = [name for name, world in document["worlds"].items() if world["identical"]]
    title = f"SYNTHETIC robot camera: at frame {change} person and light change"
    figure.suptitle(
        f"{title}\nunchanged since, bit-identical at the end: {', '.join(identical) or 'none'}", fontsize=10
    )
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=100, pil_kwargs={"optimize": True})
    return data.getvalue()


def _show_faces(axes: Axes, document: Mapping[str, Any], faces: Mapping[str, Sequence[Image]]) -> None:
    """Show frames of each person above that person's part of the stream."""
    ends = (0, document["change"], document["settings"]["frames"])
    for (person, some), begin, end in zip(faces.items(), ends[:-1], ends[1:], strict=True):
        strip = np.concatenate(list(some), axis=1)
        margin = 0.02 * ends[-1]
        axes.imshow(strip, extent=(begin + margin, end - margin, 0, 1), aspect="auto", interpolation="antialiased")
        axes.text((begin + end) / 2, 1.06, f"{person}, {document['people'][person]}", ha="center", fontsize=9)
    axes.set_ylim(0, 1.3)
    axes.set_axis_off()


def _mark_signals(axes: Axes, document: Mapping[str, Any]) -> None:
    """Mark the frames after which each detector signalled, in one row per detector."""
    for row, (name, frames) in enumerate(document["signals"].items()):
        marker, colour = DETECTORS[name]
        axes.scatter(frames, [row] * len(frames), marker=marker, color=colour, s=34, zorder=3)
    axes.set_yticks(range(len(document["signals"])), list(document["signals"]), fontsize=8)
    axes.set_ylim(len(document["signals"]) - 0.5, -0.5)
    axes.set_xlabel("frame; marks: drift signals of the detectors (the dummy signals whatever happens)")
