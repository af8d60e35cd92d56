"""A page of faces under heat, in millimetres: rows of tiles with a line of words under each."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ciao_stream.explain.regions import Box
from ciao_stream.faces.dataset import Image
from ciao_stream.runtime.atomic import write_bytes

COLUMN_MM, PAGE_MM = 88.0, 180.0
"""Widths of one and of two columns of a printed page."""

INCH_MM = 25.4
DPI = 180
HEAT = "plasma"
"""Readable by colour-blind readers and in gray: it grows lighter all the way."""

STRONGEST = 0.72
"""Opacity of the heat where it is greatest; it is clear where there is none."""

WRONG = "#B03A00"
"""Colour of a prediction that differs from the label; it also has a cross."""

_MARGIN, _GAP = 2.0, 1.2
"""Millimetres: round the page, and between tiles."""

_FRAME = 136
"""Gray level of the line round a tile."""

Heat = npt.NDArray[np.floating]
"""(h, w) in [0, 1], of any size."""


@dataclass(frozen=True, eq=False)
class Tile:
    """One face with its heat.

    Args:
        image: What is seen; None where only heat is.
        heat: The map drawn over it, or None.
        words: A line under it.
        wrong: Whether the words contradict the label.
        boxes: Rectangles with words inside.
    """

    image: Image | None = None
    heat: Heat | None = None
    words: str = ""
    wrong: bool = False
    boxes: tuple[tuple[Box, str], ...] = ()

    def pixels(self, side: int) -> Image:
        """Return the tile as uint8 (side, side, 3)."""
        shown = np.full((side, side, 3), 255, np.float64)
        if self.image is not None:
            face = self.image if self.image.ndim == 3 else np.repeat(self.image[:, :, None], 3, axis=2)
            shown[:] = cv2.resize(face, (side, side), interpolation=cv2.INTER_LINEAR)
        if self.heat is not None:
            heat = np.clip(cv2.resize(self.heat.astype(np.float32), (side, side)), 0, 1)
            opacity = STRONGEST * heat[:, :, None] if self.image is not None else 1.0
            shown += opacity * (255 * colormaps[HEAT](heat)[:, :, :3] - shown)
        shown[[0, -1], :], shown[:, [0, -1]] = _FRAME, _FRAME
        return shown.round().astype(np.uint8)


def page(title: str, headings: Sequence[str], rows: Sequence[Sequence[Tile | None]]) -> Figure:
    """Lay tiles out on a page as wide as one printed column, or as two if a row has more than four.

    All tiles are one image under the text, which is drawn much faster than as many axes.

    Args:
        title: One paragraph; it names synthetic data as such.
        headings: Over each column of tiles; words that are too long are broken at ``|``.
        rows: Tiles, as many as headings; None leaves a place empty.
    """
    wide = COLUMN_MM if len(headings) <= 4 else PAGE_MM
    side = (wide - 2 * _MARGIN + _GAP) / len(headings) - _GAP
    size = min(7.0, max(4.2, 0.3 * side))
    line = 0.45 * size
    title_lines = textwrap.wrap(title, int(wide / 1.32))
    heads = [heading.split("|") for heading in headings]
    top = _MARGIN + len(title_lines) * 3.3 + max(len(lines) for lines in heads) * line + 2
    step = side + line + 1.6
    high = top + step * len(rows) + _MARGIN
    figure = Figure(figsize=(wide / INCH_MM, high / INCH_MM))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, wide), ylim=(high, 0))
    axes.set_axis_off()
    axes.text(_MARGIN, _MARGIN, "\n".join(title_lines), size=7, va="top", linespacing=1.25)
    picture = np.full((round(high * DPI / INCH_MM), round(wide * DPI / INCH_MM), 3), 255, np.uint8)
    for column, lines in enumerate(heads):
        middle = _MARGIN + column * (side + _GAP) + side / 2
        axes.text(middle, top - 0.8, "\n".join(lines), size=size, ha="center", va="bottom", weight="bold")
    for row, tiles in enumerate(rows):
        for column, tile in enumerate(tiles):
            if tile is not None:
                left, upper = _MARGIN + column * (side + _GAP), top + row * step
                drawn = tile.pixels(int(side * DPI / INCH_MM))
                x, y = (round(mm * DPI / INCH_MM) for mm in (left, upper))
                picture[y : y + len(drawn), x : x + len(drawn)] = drawn
                _write(axes, tile, left, upper, side, size)
    axes.imshow(picture, extent=(0, wide, high, 0), interpolation="nearest", aspect="auto")
    return figure


def _write(axes: Axes, tile: Tile, left: float, top: float, side: float, size: float) -> None:
    for box, words in tile.boxes:
        corner = left + side * box.left, top + side * box.top
        wide, high = side * (box.right - box.left), side * (box.bottom - box.top)
        axes.add_patch(Rectangle(corner, wide, high, fill=False, ec="white", lw=0.7))
        edge = {"facecolor": "#000000", "alpha": 0.45, "pad": 0.6, "linewidth": 0}
        middle = corner[0] + wide / 2, corner[1] + high / 2
        axes.text(*middle, words, size=0.85 * size, color="white", ha="center", va="center", bbox=edge)
    words = f"✗ {tile.words}" if tile.wrong else tile.words
    colour = WRONG if tile.wrong else "#111111"
    axes.text(left + side / 2, top + side + 0.7, words, size=size, ha="center", va="top", color=colour)


def write_figure(figure: Figure, out: Path, name: str) -> list[str]:
    """Write ``NAME.png``, of 256 colours, and ``NAME.pdf``, each whole or not at all; return the names of both.

    Raises:
        CiaoError: A file cannot be written.
    """
    write_bytes(out / f"{name}.png", png(figure))
    data = io.BytesIO()
    with rc_context({"pdf.fonttype": 42}):
        figure.savefig(data, format="pdf", dpi=DPI)
    write_bytes(out / f"{name}.pdf", data.getvalue())
    return [f"{name}.png", f"{name}.pdf"]


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG file of 256 colours, a third of the size of one of all."""
    from PIL import Image as Pillow

    canvas, packed = FigureCanvasAgg(figure), io.BytesIO()
    figure.set_dpi(DPI)
    canvas.draw()
    drawn = Pillow.fromarray(np.asarray(canvas.buffer_rgba())[:, :, :3])
    palette = drawn.quantize(256, Pillow.Quantize.FASTOCTREE)
    drawn.quantize(palette=palette, dither=Pillow.Dither.FLOYDSTEINBERG).save(packed, "PNG")
    return packed.getvalue()
