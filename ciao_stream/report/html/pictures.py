"""Figures on the page: of a run's explanation, of a suite."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ciao_stream.report.embed import pictures

WIDEST = 1600
"""Pixels; wider figures are scaled down, to keep pages small."""

BUDGET = 2_500_000
"""Bytes of all figures of a page; further ones are named but not shown."""


@dataclass(frozen=True)
class Shown:
    """A figure as the page holds it.

    Args:
        title: What it shows.
        uri: ``data:`` and all of it; empty where there was no room.
        width: In pixels.
        height: In pixels.
    """

    title: str
    uri: str
    width: int
    height: int


def find_pictures(run: Path) -> list[Shown]:
    """Return the figures that ``python -m ciao_stream.explain`` left of a run; none where there was none.

    Raises:
        CiaoError: The explanation is damaged.
    """
    return embed((picture.title, picture.png) for picture in pictures(run))


def embed(titled: Iterable[tuple[str, bytes]]) -> list[Shown]:
    """Return pictures as a page holds them, each of a title and a PNG."""
    room, shown = BUDGET, []
    for title, png in titled:
        data, width, height = _fitted(png)
        uri = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        if len(uri) > room:
            uri = ""
        room -= len(uri)
        shown.append(Shown(title, uri, width, height))
    return shown


def _fitted(png: bytes) -> tuple[bytes, int, int]:
    """Return a picture that is not too wide, and its size."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        if image.width <= WIDEST:
            return png, image.width, image.height
        scaled = image.convert("RGB").resize((WIDEST, round(image.height * WIDEST / image.width)))
    buffer = io.BytesIO()
    scaled.quantize(256).save(buffer, format="png", optimize=True)
    return buffer.getvalue(), scaled.width, scaled.height
