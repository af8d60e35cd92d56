"""Figures of ``explain`` for other reports, as bytes to embed. Loads no torch."""

from __future__ import annotations

import io
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ciao_stream.exceptions import CiaoError

FORMAT = "ciao_stream/explain/1"
EXPLAIN = "explain.json"
FOLDER = "explain"
"""Where ``explain`` writes by default, inside the run's folder."""

KINDS = ("schemes", "worlds", "mask", "regions", "checks")
"""Of figures: schemes side by side for a task, worlds side by side for a strategy, what a mask does, mean maps with
the parts of the face, and whether the maps mean anything."""


@dataclass(frozen=True)
class Picture:
    """One figure of an explanation.

    Args:
        kind: One of :data:`KINDS`.
        title: What it shows; it says that data is synthetic where it is.
        png: The file's content.
    """

    kind: str
    title: str
    png: bytes


def pictures(run: Path, kinds: Collection[str] = KINDS, width: int | None = None) -> list[Picture]:
    """Return the figures of a run's explanation, in its own order; none where it has not been explained.

    Args:
        run: The results folder of a benchmark, whose explanation lies in ``explain``; or an explanation's own folder.
        kinds: Which figures.
        width: Pixels to which wider figures are shrunk, of 256 colours as before; None leaves them as they are.

    Raises:
        CiaoError: The explanation is damaged.
    """
    folder = run if (run / EXPLAIN).exists() else run / FOLDER
    if not (folder / EXPLAIN).exists():
        return []
    found = read_explanation(folder)
    try:
        return [
            Picture(one["kind"], one["title"], _shrunk((folder / Path(one["png"]).name).read_bytes(), width))
            for one in found["figures"]
            if one["kind"] in kinds
        ]
    except (OSError, LookupError, TypeError) as error:
        raise CiaoError(f"the explanation in {folder} is damaged: delete the folder and run explain again") from error


def _shrunk(png: bytes, width: int | None) -> bytes:
    if width is None:
        return png
    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        if image.width <= width:
            return png
        small = image.convert("RGB").resize(
            (width, round(image.height * width / image.width)), Image.Resampling.LANCZOS
        )
    packed = io.BytesIO()
    small.quantize(256, Image.Quantize.FASTOCTREE).save(packed, "PNG")
    return packed.getvalue()


def read_explanation(folder: Path) -> dict[str, Any]:
    """Read ``explain.json`` of an explanation's folder.

    Raises:
        CiaoError: It is missing or damaged.
    """
    try:
        document = json.loads((folder / EXPLAIN).read_text())
    except (OSError, ValueError) as error:
        raise CiaoError(f"no explanation can be read in {folder}: run ciao_stream.explain ({error})") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise CiaoError(f"{folder / EXPLAIN} is not an explanation: expected format {FORMAT}")
    return document
