"""Draws docs/worlds.png, one page of the synthetic worlds: the same faces as each labels them, then each world's own.

``python scripts/contact_sheet.py docs/worlds.png`` writes it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.synthetic.action_units import EVENTS
from benchmarks.synthetic.populations import POPULATIONS, draw_person
from benchmarks.synthetic.readings import CLASS_WORLDS, SPECS, read_classes
from benchmarks.synthetic.scene import Scene
from benchmarks.synthetic.worlds import load
from ciao_stream.faces.dataset import Image
from ciao_stream.runtime.atomic import write_bytes
from ciao_stream.runtime.command import run_command

_TINT = {
    "neutral": "#e3e3e3", "happiness": "#f5ea6e", "surprise": "#f2b84b", "sadness": "#8cc8ee", "anger": "#d55e00",
    "disgust": "#009e73", "fear": "#dd9fc3", "contempt": "#0072b2",
}  # fmt: skip
"""Okabe and Ito's palette, which colour-blind readers can tell apart; the lighter ones lightened further."""
_ON_DARK = ("anger", "disgust", "contempt")
"""Emotions whose tint needs white letters."""

_SHOWN = ("open smile", "smirk", "gape", "mouth down", "squint", "grimace", "shout", "slack jaw")
"""The events at the top: one that all worlds give the same name, then others."""

_OWN = ("affectnet", "fer", "jaffe", "emoreact")
"""A world of each population."""

_EDGE, _NAMES, _GAP, _CHIP, _STEP = 24, 100, 8, 25, 3
_FACES = 8 * (124 + _GAP)
"""Width of a row of faces: 8 of 124 pixels on top, 11 of 88 below."""


def contact_sheet(seed: int = 0) -> Image:
    """Draw the sheet: at the top the same faces with each world's labels, below that faces of each population.

    The labels at the top are without errors, and of worlds with classes only; those below are of the training split,
    with its annotation errors.

    Args:
        seed: Selects the people.

    Returns:
        uint8 (height, width, 3), RGB on white; its headings carry the word "synthetic".
    """
    page = _Page()
    _one_face_four_readings(page, seed)
    _own_faces(page, seed)
    return page.pixels()


def _one_face_four_readings(page: _Page, seed: int) -> None:
    """Draw the same faces, then a row of labels per world, then how many different labels each face got."""
    from benchmarks.synthetic.renderer import render

    page.heading("One face, four readings: synthetic faces and what each world calls them", columns=len(_SHOWN))
    events = {event.name: event.prototype for event in EVENTS}
    for column, event in enumerate(_SHOWN):
        who = draw_person(POPULATIONS["affectnet"], "test", seed, column)
        scene = Scene(hue=(0.05 + 0.31 * column) % 1, background=0.72, light=0.5)
        page.note(event, column)
        page.face(render(who, events[event], scene, page.size), column, 18)
    page.down(18 + page.size + _GAP)
    aus = np.stack([events[event] for event in _SHOWN])
    words = [[SPECS[name].labels[answer] for answer in read_classes(name, aus)] for name in CLASS_WORLDS]
    for name, row in zip(CLASS_WORLDS, words, strict=True):
        page.name(name, _CHIP)
        for column, word in enumerate(row):
            page.chip(word, column)
        page.down(_CHIP + _STEP)
    for column, heard in enumerate(zip(*words, strict=True)):
        different = len(set(heard))
        page.note("all agree" if different == 1 else f"{different} different words", column, strong=different > 2)
    page.down(18)


def _own_faces(page: _Page, seed: int) -> None:
    """Draw a row of faces per population, each over its label; of a clip its apex."""
    columns = 11
    page.heading("Each world's own synthetic faces, with its own labels", columns)
    for name in _OWN:
        frames = POPULATIONS[name].frames
        data = load(name, train=frames * columns, size=page.size, seed=seed).train
        page.name(name, page.size)
        for column in range(columns):
            index = frames * column + (frames > 1)
            page.face(data.image(index), column)
            page.chip(_label(name, data.targets[index]), column, page.size)
        page.down(page.size + _CHIP + _GAP)


class _Page:
    """A white page that is filled from the top; all measures are pixels."""

    def __init__(self) -> None:
        self.size = 0
        """Height and width of a face."""
        self._top = _EDGE
        self._faces: list[tuple[int, int, Image]] = []
        self._chips: list[tuple[int, int, int, str]] = []
        self._texts: list[tuple[float, float, str, dict[str, Any]]] = []

    def down(self, pixels: int) -> None:
        """Move down."""
        self._top += pixels

    def heading(self, text: str, columns: int) -> None:
        """Write a heading; the rows below it have so many columns."""
        self.size = _FACES // columns - _GAP
        self._top += 16 * (self._top > _EDGE)
        self._texts.append((_EDGE, self._top + 8, text, {"size": 12.5, "weight": "bold", "color": "#111111"}))
        self._top += 32

    def name(self, text: str, height: int) -> None:
        """Write a world's name before a row of that height."""
        self._texts.append((_EDGE, self._top + height / 2, text, {"size": 10, "color": "#111111"}))

    def note(self, text: str, column: int, strong: bool = False) -> None:
        """Write a line of small print in a column."""
        style: dict[str, Any] = {"size": 8, "ha": "center", "color": "#111111" if strong else "#666666"}
        self._texts.append((self._left(column) + self.size / 2, self._top + 7, text, style))

    def face(self, image: Image, column: int, below: int = 0) -> None:
        """Place a face."""
        self._faces.append((self._left(column), self._top + below, image))

    def chip(self, text: str, column: int, below: int = 0) -> None:
        """Write a label on the colour of its emotion."""
        left, top = self._left(column), self._top + below
        self._chips.append((left, top, self.size, text))
        style: dict[str, Any] = {"size": 9 if self.size > 100 else 8, "ha": "center"}
        style["color"] = "white" if text in _ON_DARK else "#111111"
        self._texts.append((left + self.size / 2, top + _CHIP / 2, text, style))

    def pixels(self) -> Image:
        """Return the page, uint8 (height, width, 3)."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle

        width, height = 2 * _EDGE + _NAMES + _FACES - _GAP, self._top - _GAP + _EDGE
        page = np.full((height, width, 3), 255, np.uint8)
        for left, top, image in self._faces:
            page[top : top + len(image), left : left + len(image)] = image if image.ndim == 3 else image[:, :, None]
        figure = Figure(figsize=(width / 100, height / 100), dpi=100)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.imshow(page, extent=(0, width, height, 0), interpolation="nearest", aspect="auto")
        for left, top, wide, text in self._chips:
            axes.add_patch(Rectangle((left, top), wide, _CHIP, color=_TINT.get(text, "#f1f1f1"), lw=0))
        for x, y, text, style in self._texts:
            axes.text(x, y, text, va="center_baseline", **style)
        canvas.draw()
        return np.array(canvas.buffer_rgba(), np.uint8)[:, :, :3].copy()

    def _left(self, column: int) -> int:
        return _EDGE + _NAMES + column * (self.size + _GAP)


def _label(world: str, target: npt.NDArray[np.generic]) -> str:
    """One target as a few words that fit under a face: a class, or the labels that are set."""
    labels = SPECS[world].labels
    if SPECS[world].kind == "categorical":
        return labels[int(target)]
    present = [label for label, there in zip(labels, target.tolist(), strict=True) if there]
    return f"{present[0]} +{len(present) - 1}" if len(present) > 1 else (present or ["no label"])[0]


def main(argv: Sequence[str] | None = None) -> int:
    """Write the contact sheet; return the exit code."""
    parser = argparse.ArgumentParser(description="Draw the contact sheet of the synthetic worlds.")
    parser.add_argument("out", metavar="OUT.png", help="file to write")
    path = parser.parse_args(argv).out

    def body() -> None:
        import cv2

        sheet = cv2.cvtColor(contact_sheet(), cv2.COLOR_RGB2BGR)
        write_bytes(path, cv2.imencode(".png", sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())

    return run_command(body, lambda: None)


if __name__ == "__main__":
    raise SystemExit(main())
