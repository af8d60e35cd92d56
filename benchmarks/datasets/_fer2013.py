"""Where the files of FER2013 and FER+ may lie under a data root."""

from __future__ import annotations

from pathlib import Path

from ciao_stream.exceptions import MissingDataError
from ciao_stream.faces.readers.layout import find, missing

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


def fer_missing(task: str, what: str, root: Path, layout: str) -> MissingDataError:
    """Return the error for files that are not there."""
    return missing(task, what, root, layout, [find(root, name) for name in (*FOLDERS, "ferplus")])
