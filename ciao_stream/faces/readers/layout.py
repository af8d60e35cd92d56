"""Finding a data set's files under a data root; the case of names does not matter, for unpackers differ."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ciao_stream.exceptions import DataError, MissingDataError

SHOWN = 12
"""Entries that an error lists of what was found instead."""


def find(root: Path, *names: str) -> Path | None:
    """Return the first of some files or folders that is there, None where none is.

    Args:
        root: Where they are looked for; it may be missing.
        names: Paths relative to ``root``, with ``/`` between their parts, the preferred one first.

    Raises:
        DataError: A folder cannot be listed.
    """
    for name in names:
        if (path := _descend(root, name.split("/"))) is not None:
            return path
    return None


def missing(task: str, what: str, root: Path, layout: str, looked_in: Iterable[Path | None] = ()) -> MissingDataError:
    """Return the error for a data set that is not there: what is missing, what was expected and what was found.

    Args:
        task: Name of the task.
        what: What is missing (``no votes (fer2013new.csv)``).
        root: The data root.
        layout: What was expected.
        looked_in: Folders of the data set that are there, to be listed with the root; None is passed over.
    """
    if not root.is_dir():
        return MissingDataError(f"task {task!r}: there is no folder {root}; expected {layout}")
    places = [root, *dict.fromkeys(place for place in looked_in if place and place.is_dir() and place != root)]
    found = [str(entry.relative_to(root)) for place in places for entry in listing(place)]
    listed = ", ".join(found[:SHOWN]) + (", ..." if len(found) > SHOWN else "")
    return MissingDataError(f"task {task!r}: {what} under {root}; expected {layout}; found {listed or 'nothing'}")


def listing(folder: Path) -> list[Path]:
    """Return the entries of a folder whose names do not begin with a dot, sorted by name.

    Raises:
        DataError: The folder cannot be read.
    """
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror or error})") from error


def _descend(folder: Path, parts: list[str]) -> Path | None:
    """Follow a path part by part; an exact name is preferred to one in another case."""
    for part in parts:
        if (folder / part).exists():
            folder = folder / part
            continue
        if not folder.is_dir():
            return None
        alike = [entry for entry in listing(folder) if entry.name.lower() == part.lower()]
        if not alike:
            return None
        folder = alike[0]
    return folder
