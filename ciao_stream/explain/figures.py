"""The figures of an explanation: schemes and worlds next to each other, masks, mean maps, and checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ciao_stream.explain.cam import enlarge, normalise
from ciao_stream.explain.faces_of_run import Face
from ciao_stream.explain.inhibition import MaskEffect
from ciao_stream.explain.measure import KINDS, OWN, Look
from ciao_stream.explain.regions import Box
from ciao_stream.explain.tiles import INCH_MM, PAGE_MM, Heat, Tile, page
from ciao_stream.report.figures import COLOURS

FINE = 96
"""Side to which a map is enlarged before it is drawn."""

LONGEST_LABEL = 18
"""Characters of a label under a face."""

MARKERS = ("o", "s", "^", "D", "v", "P")


def grid(
    title: str, faces: Sequence[Face], rows: Sequence[int], columns: Mapping[str, Look], tasks: Sequence[str]
) -> Figure:
    """Draw faces (rows) as several worlds see them (columns); the first column is the face with its label.

    Args:
        title: What is shown.
        faces: All faces of the explanation.
        rows: Those that are drawn.
        columns: Where each world looks, by heading.
        tasks: Those whose labels are written under the faces.
    """
    headings = ["face|and label", *columns]
    drawn = {heading: heat(look.saliency) for heading, look in columns.items()}
    said = {heading: look.words for heading, look in columns.items()}
    lines: list[list[Tile | None]] = []
    for row in rows:
        face = faces[row]
        labels = dict.fromkeys(face.labels[task] for task in tasks if task in face.labels)
        tiles: list[Tile | None] = [Tile(face.image, words=_short(" / ".join(labels) or "no label"))]
        for heading, look in columns.items():
            tiles.append(Tile(face.image, drawn[heading][row], said[heading][row], _wrong(face, look, row)))
        lines.append(tiles)
    return page(title, headings, lines)


def mean_maps(
    title: str, looks: Sequence[Look], boxes: Mapping[str, Box], masses: Sequence[Mapping[str, Any]]
) -> Figure:
    """Draw the mean over faces of each world's maps, with the parts of the face and the share in each.

    No face is drawn. Columns are strategies; rows are tasks, and labels if several are explained.
    """
    strategies = list(dict.fromkeys(look.name.strategy for look in looks))
    subjects = list(dict.fromkeys((look.name.task, look.label) for look in looks))
    place = {(look.name.task, look.label, look.name.strategy): i for i, look in enumerate(looks)}
    lines: list[list[Tile | None]] = []
    for task, label in subjects:
        tiles: list[Tile | None] = []
        for strategy in strategies:
            i = place.get((task, label, strategy))
            if i is None:
                tiles.append(None)
                continue
            mean = normalise(enlarge(normalise(looks[i].saliency), FINE).mean(dim=0)[None])[0].numpy()
            shown = tuple((box, _percent(masses[i][part]["mean"])) for part, box in boxes.items())
            tiles.append(Tile(heat=mean, words=label or task, boxes=shown))
        lines.append(tiles)
    return page(title, strategies, lines)


def mask_figure(
    title: str, faces: Sequence[Face], rows: Sequence[int], effect: MaskEffect, channels: Mapping[int, Tensor]
) -> Figure:
    """Draw what a mask does: above, faces with the raw map's strength and what the mask lets through.

    Below, the channels that training silenced most, each on the faces that excite it most.

    Args:
        title: What is shown.
        faces: All faces of the explanation.
        rows: Those that are drawn above.
        effect: What the mask does to all faces.
        channels: Of each channel that is drawn, its map of every face, (N, h, w).
    """
    raw, passed = enlarge(effect.raw, FINE), enlarge(effect.passed, FINE)
    top, least, most = (float(v) for v in (raw.max(), passed.min(), passed.max()))
    scaled = (passed - least) / max(most - least, 1e-12)
    lines: list[list[Tile | None]] = [
        [Tile(faces[r].image, words=_short(next(iter(faces[r].labels.values()), ""))) for r in rows],
        [Tile(faces[r].image, (raw[r] / top).numpy(), "map before the mask") for r in rows],
        [Tile(None, scaled[r].numpy(), f"lets through {float(_passed(effect, r)):.2f}") for r in rows],
    ]
    for channel, maps in channels.items():
        chosen = effect.exciting(channel, len(rows))
        large = enlarge(maps.relu(), FINE)
        shown = normalise(large)
        about = f"channel {channel}: x{2 ** float(effect.learned[channel]):.2f}"
        words = [about, *[""] * (len(chosen) - 1)]
        lines.append([Tile(faces[f].image, shown[f].numpy(), text) for f, text in zip(chosen, words, strict=True)])
    scale = f" Third row: 1/(a+I), dark {least:.2f}, light {most:.2f}."
    return page(title + scale, [""] * len(rows), lines)


def checks_figure(title: str, entries: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the deletion and insertion areas of each world next to their controls, and the sanity check.

    Args:
        title: What is shown.
        entries: Of ``worlds`` in ``explain.json``, those that have these numbers.
    """
    height = 24 + 5.2 * len(entries)
    figure = Figure(figsize=(PAGE_MM / INCH_MM, height / INCH_MM), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True, width_ratios=(1, 1, 1.2))
    places = np.arange(len(entries))[::-1]
    for panel, kind in zip(panels, KINDS, strict=False):
        _dots(panel, places, [{name: e[kind][name] for name in e[kind]} for e in entries])
        good = "small" if kind == "deletion" else "large"
        panel.set_title(f"{kind}: area under the curve\n({good} is good)", fontsize=7)
    _dots(panels[2], places, [e["sanity"] for e in entries], start=3)
    panels[2].set_title("rank correlation with the map of\na world of shuffled weights (small is good)", fontsize=7)
    panels[2].axvline(0, color="#888888", lw=0.6)
    names = [f"{e['task']} {e['strategy']}{' ' + e['label'] if e['label'] else ''}" for e in entries]
    panels[0].set_yticks(places, names)
    for panel in panels:
        panel.tick_params(labelsize=6, length=2)
        panel.grid(axis="x", color="#dddddd", lw=0.5)
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(fontsize=5.5, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2)
    figure.suptitle(title, fontsize=7)
    return figure


def _dots(panel: Any, places: Any, entries: Sequence[Mapping[str, Any]], start: int = 0) -> None:
    for i, name in enumerate(entries[0]):
        means = [np.nan if e[name]["mean"] is None else e[name]["mean"] for e in entries]
        spread = [e[name]["interval"] or 0 for e in entries]
        own = name == OWN
        colour = "#111111" if own else COLOURS[(start + i) % len(COLOURS)]
        panel.errorbar(
            means,
            places,
            xerr=spread,
            fmt=MARKERS[(start + i) % len(MARKERS)],
            ms=3.2 if own else 2.6,
            elinewidth=0.6,
            color=colour,
            mfc=colour if own else "white",
            label=name,
        )


def heat(saliency: Tensor) -> list[Heat]:
    """Return maps as they are drawn: enlarged, the greatest value of each 1."""
    return [one.numpy() for one in normalise(enlarge(saliency, FINE))]


def _wrong(face: Face, look: Look, row: int) -> bool:
    """Whether a world predicts another class than the label of the face in its task."""
    spec = look.target.spec
    known = face.labels.get(look.name.task)
    return (
        look.label is None
        and spec.has_classes
        and known is not None
        and spec.labels[int(look.target.index[row])] != known
    )


def _passed(effect: MaskEffect, row: int) -> Tensor:
    strength = effect.raw[row]
    return (strength * effect.passed[row]).sum() / strength.sum().clamp(min=torch.finfo(torch.float32).tiny)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"
