"""Where the files of FER2013 and FER+ may lie under a data root."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ciao_stream.exceptions import DataError

FACES = tuple(
    f"{folder}{name}"
    for folder in ("fer2013/", "fer/", "ferplus/", "")
    for name in ("fer2013.csv", "icml_face_data.csv")
)
"""The csv with the faces, in the order in which it is looked for."""

VOTES = tuple(f"{folder}fer2013new.csv" for folder in ("ferplus/", "fer2013/", "fer/", ""))
"""FER+'s votes, in the order in which they are looked for."""

FOLDERS = ("fer2013", "fer")
"""The folder version: each may hold ``train`` and ``test``."""


def find(root: Path, names: Sequence[str]) -> Path | None:
    """Return the first of the files or folders that is there."""
    return next((root / name for name in names if (root / name).exists()), None)


def missing(task: str, what: str, root: Path, layout: str) -> DataError:
    """Return the error for files that are not there: what is missing, what was expected and what was found."""
    if not root.is_dir():
        return DataError(f"task {task!r}: there is no folder {root}; expected {layout}")
    places = [root, *(root / name for name in (*FOLDERS, "ferplus") if (root / name).is_dir())]
    found = [str(entry.relative_to(root)) for place in places for entry in sorted(place.iterdir())]
    listed = ", ".join(found[:12]) + (", ..." if len(found) > 12 else "")
    return DataError(f"task {task!r}: {what} under {root}; expected {layout}; found {listed or 'nothing'}")
