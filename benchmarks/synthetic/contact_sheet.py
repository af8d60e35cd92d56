"""One picture of the synthetic worlds: the same faces in the words of each, then each world's own faces.

``python -m benchmarks.synthetic.contact_sheet OUT.png`` writes it.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.names import WORLDS
from benchmarks.synthetic.action_units import EVENTS
from benchmarks.synthetic.populations import POPULATIONS, draw_person
from benchmarks.synthetic.readings import CLASS_WORLDS, SPECS, read_classes
from benchmarks.synthetic.scene import Scene
from benchmarks.synthetic.worlds import load
from ciao_stream.atomic import write_bytes
from ciao_stream.command import run_command
from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.faces import FaceDataset, Image

_TINT = {
    "neutral": "#e3e3e3", "happiness": "#f5ea6e", "surprise": "#f2b84b", "sadness": "#8cc8ee", "anger": "#d55e00",
    "disgust": "#009e73", "fear": "#dd9fc3", "contempt": "#0072b2",
}  # fmt: skip
"""Okabe and Ito's palette, which colour-blind readers can tell apart; the lighter ones lightened further."""
_ON_DARK = ("anger", "disgust", "contempt")
"""Emotions whose tint needs white letters."""

_SHOWN: tuple[tuple[str, int], ...] = (
    ("open smile", 0), ("smirk", 1), ("gape", 2), ("mouth down", 3), ("squint", 4), ("grimace", 5), ("shout", 6),
    ("slack jaw", 7),
)  # fmt: skip
"""What the faces on top do, most telling first, and which person of AffectNet's test split does it."""

_EDGE, _NAMES, _GAP, _CHIP, _STEP = 24, 100, 8, 25, 3


def contact_sheet(worlds: Sequence[str] = WORLDS, columns: int = 8, size: int = 124, seed: int = 0) -> Image:
    """Draw the sheet: on top the same faces with what each world calls them, below each population with its labels.

    Readings on top are without slips, and of worlds with classes only; labels below are those of the training split,
    slips included. Worlds that annotate the same pictures share a row, in the words of the first.

    Args:
        worlds: Names in :data:`~benchmarks.names.WORLDS`.
        columns: Faces in a row, at least 1.
        size: Height and width of a face in pixels, at least 64: labels need the room.
        seed: Another seed, other people.

    Returns:
        uint8 (height, width, 3), RGB on white; its headings carry the word "synthetic".

    Raises:
        UnknownNameError: A world of that name does not exist.
        CiaoError: No world, no column, or a size too small for labels.
    """
    for name in worlds:
        if name not in WORLDS:
            raise UnknownNameError("synthetic world", name, WORLDS)
    if not worlds or columns < 1 or size < 64:
        raise CiaoError(
            f"contact sheet: expected a world, a column and at least 64 pixels but got {len(worlds)}, {columns}, {size}"
        )
    page = _Page(columns, size)
    readers = [name for name in worlds if name in CLASS_WORLDS]
    if readers:
        _one_face_many_readings(page, readers, seed)
    _own_faces(page, worlds, seed)
    return page.pixels()


def _one_face_many_readings(page: _Page, readers: Sequence[str], seed: int) -> None:
    """Draw the same faces, then a row of words per world, then how many words a face was given."""
    from benchmarks.synthetic.renderer import render

    count = ("one", "two", "three", "four")[len(readers) - 1]
    page.heading(f"One face, {count} reading{'s' * (len(readers) > 1)}: synthetic faces and what each world calls them")
    prototypes = {event.name: event.prototype for event in EVENTS}
    shown = [*_SHOWN, *((name, i) for i, name in enumerate(prototypes, len(_SHOWN)))]
    chosen = [shown[column % len(shown)] for column in range(page.columns)]
    for column, (event, person) in enumerate(chosen):
        who = draw_person(POPULATIONS["affectnet"], "test", seed, person)
        scene = Scene(hue=(0.05 + 0.31 * column) % 1, background=0.72, light=0.5)
        page.note(event, column)
        page.face(render(who, prototypes[event], scene, page.size), column, 18)
    page.down(18 + page.size + _GAP)
    aus = np.stack([prototypes[event] for event, _ in chosen])
    words = [[SPECS[name].labels[answer] for answer in read_classes(name, aus)] for name in readers]
    for name, row in zip(readers, words, strict=True):
        page.name(name, _CHIP)
        for column, word in enumerate(row):
            page.chip(word, column)
        page.down(_CHIP + _STEP)
    for column, heard in enumerate(zip(*words, strict=True)):
        different = len(set(heard))
        page.note("all agree" if different == 1 else f"{different} different words", column, bold=different > 2)
    page.down(18)


def _own_faces(page: _Page, worlds: Sequence[str], seed: int) -> None:
    """Draw a row of faces per population, each over its label."""
    page.heading("Each world's own synthetic faces, with its own labels")
    seen: set[str] = set()
    for name in worlds:
        data = load(name, train=4 * page.columns, size=page.size, seed=seed).train
        if data.images.fingerprint in seen:
            continue
        seen.add(data.images.fingerprint)
        page.name(name, page.size)
        for column, index in enumerate(_apexes(data, page.columns)):
            page.face(data.image(index), column)
            page.chip(_label(name, data.targets[index]), column, page.size)
        page.down(page.size + _CHIP + _GAP)


class _Page:
    """A white page that is filled from the top; all measures are pixels."""

    def __init__(self, columns: int, size: int) -> None:
        self.columns = columns
        self.size = size
        self._width = 2 * _EDGE + _NAMES + columns * (size + _GAP) - _GAP
        self._top = _EDGE
        self._faces: list[tuple[int, int, Image]] = []
        self._chips: list[tuple[int, int, str]] = []
        self._texts: list[tuple[float, float, str, dict[str, str | float]]] = []

    def down(self, pixels: int) -> None:
        """Go on further below."""
        self._top += pixels

    def heading(self, text: str) -> None:
        """Write a heading."""
        self._top += 12 * (self._top > _EDGE)
        self._texts.append((_EDGE, self._top + 8, text, {"size": 12.5, "weight": "bold", "color": "#111111"}))
        self._top += 32

    def name(self, text: str, height: int) -> None:
        """Write a world's name before a row of that height."""
        self._texts.append((_EDGE, self._top + height / 2, text, {"size": 10, "color": "#111111"}))

    def note(self, text: str, column: int, bold: bool = False) -> None:
        """Write a line of small print in a column."""
        style: dict[str, str | float] = {"size": 8, "ha": "center", "color": "#111111" if bold else "#666666"}
        self._texts.append((self._left(column) + self.size / 2, self._top + 7, text, style))

    def face(self, image: Image, column: int, below: int = 0) -> None:
        """Place a face."""
        self._faces.append((self._left(column), self._top + below, image))

    def chip(self, text: str, column: int, below: int = 0) -> None:
        """Write a label on the colour of its emotion."""
        left, top = self._left(column), self._top + below
        self._chips.append((left, top, text))
        style: dict[str, str | float] = {"size": 9, "ha": "center", "color": "white" if text in _ON_DARK else "#111111"}
        self._texts.append((left + self.size / 2, top + _CHIP / 2, text, style))

    def pixels(self) -> Image:
        """Return the page, uint8 (height, width, 3)."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle

        height = self._top - _GAP + _EDGE
        page = np.full((height, self._width, 3), 255, np.uint8)
        for left, top, image in self._faces:
            page[top : top + self.size, left : left + self.size] = image if image.ndim == 3 else image[:, :, None]
        figure = Figure(figsize=(self._width / 100, height / 100), dpi=100)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.imshow(page, extent=(0, self._width, height, 0), interpolation="nearest", aspect="auto")
        for left, top, text in self._chips:
            axes.add_patch(Rectangle((left, top), self.size, _CHIP, color=_TINT.get(text, "#f1f1f1"), lw=0))
        for x, y, text, style in self._texts:
            axes.text(x, y, text, va="center_baseline", **style)
        canvas.draw()
        return np.array(canvas.buffer_rgba(), np.uint8)[:, :, :3].copy()

    def _left(self, column: int) -> int:
        return _EDGE + _NAMES + column * (self.size + _GAP)


def _label(world: str, target: npt.NDArray[np.generic]) -> str:
    """One target as a few words that fit under a face."""
    spec = SPECS[world]
    if spec.kind == "dimensional":
        arousal, valence = target.tolist()
        return f"A {arousal:+.1f}   V {valence:+.1f}".replace("-", "−")
    if spec.kind == "multilabel":
        present = [label for label, there in zip(spec.labels, target.tolist(), strict=True) if there]
        return f"{present[0]} +{len(present) - 1}" if len(present) > 1 else (present or ["no label"])[0]
    return spec.labels[int(target if spec.kind == "categorical" else target.argmax())]


def _apexes(data: FaceDataset, columns: int) -> list[int]:
    """One face of each of the first clips, at its height; without clips the first faces."""
    return list(range(columns)) if data.groups is None else [4 * clip + 1 for clip in range(columns)]


def main(argv: Sequence[str] | None = None) -> int:
    """Write the contact sheet; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.synthetic.contact_sheet",
        description="Draw the contact sheet of the synthetic worlds.",
    )
    parser.add_argument("out", metavar="OUT.png", help="file to write")
    path = parser.parse_args(argv).out

    def body() -> None:
        from matplotlib.image import imsave

        data = io.BytesIO()
        imsave(data, contact_sheet(), format="png", pil_kwargs={"optimize": True})
        write_bytes(path, data.getvalue())

    return run_command(body, lambda: None)


if __name__ == "__main__":
    raise SystemExit(main())
