"""Finds the files of a data set, and lists folders of images with one folder per class (``angry/*.jpg``).

The case of the names of a data set's files and folders does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ciao_stream.exceptions import DataError, MissingDataError, UnknownNameError, reading
from ciao_stream.faces.readers.image_files import SUFFIXES, ImageFiles
from ciao_stream.faces.readers.labels import canonical

SHOWN = 12
"""Most entries that an error lists."""


def find(root: Path, *names: str) -> Path | None:
    """Return the first of some files or folders that exists, None if none does.

    Args:
        root: The folder to search; it may be missing.
        names: Paths relative to ``root``, with ``/`` between their parts, the preferred one first.

    Raises:
        DataError: A folder cannot be listed.
    """
    for name in names:
        if (path := _descend(root, name.split("/"))) is not None:
            return path
    return None


def missing(task: str, what: str, root: Path, layout: str, looked_in: Iterable[Path | None] = ()) -> MissingDataError:
    """Return the error for a missing data set: what is missing, what was expected and what was found.

    Args:
        task: Name of the task.
        what: What is missing (``no votes (fer2013new.csv)``).
        root: The data root.
        layout: What was expected.
        looked_in: Existing folders of the data set, to be listed with the root; None is ignored.
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
    with reading(folder):
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _descend(folder: Path, parts: list[str]) -> Path | None:
    """Follow a path part by part, preferring an exact name to one in another case."""
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


def emotion_folder(name: str, labels: Sequence[str]) -> str:
    """Return the canonical emotion of a folder's name, see :func:`ciao_stream.faces.readers.labels.canonical`."""
    return canonical(name, labels, "class folder")


def class_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted by name, without hidden ones and ``__MACOSX``.

    Raises:
        DataError: The folder cannot be read.
    """
    return [entry for entry in listing(folder) if entry.is_dir() and entry.name != "__MACOSX"]


def read_class_folders(
    folder: Path,
    labels: Sequence[str],
    label_of: Callable[[str, Sequence[str]], str] = emotion_folder,
    *,
    complete: bool = True,
) -> tuple[ImageFiles, npt.NDArray[np.int64]]:
    """List the images of a folder that holds one folder per class; none is opened.

    The order is by path, independent of the file system. A class folder may contain folders. Hidden files and files
    without the suffix of an image are ignored.

    Args:
        folder: The folder that contains the class folders.
        labels: Names of the classes, in the order of the task.
        label_of: Returns the label of a class folder's name, or raises UnknownNameError.
        complete: Whether every class must have a folder.

    Returns:
        The images, and the class of each: int64 (N,), index into ``labels``.

    Raises:
        DataError: A class folder's name is unknown, a class has no folder (where ``complete``), or a class folder has
            no images.
    """
    names: list[str] = []
    targets: list[int] = []
    for class_folder in class_folders(folder):
        try:
            label = label_of(class_folder.name, labels)
        except UnknownNameError as error:
            raise DataError(f"{folder}: {error}") from error
        files = [path.relative_to(folder).as_posix() for path in images_below(class_folder)]
        if not files:
            raise DataError(f"{class_folder}: no images in it; expected files that end in {', '.join(SUFFIXES)}")
        names += files
        targets += [labels.index(label)] * len(files)
    if not names and not complete:
        raise DataError(f"{folder}: no class folders in it; expected some of {', '.join(labels)}")
    present = set(targets)
    missing = [label for index, label in enumerate(labels) if index not in present]
    if missing and complete:
        raise DataError(f"{folder}: no class folder for {', '.join(missing)}; expected one for each of the classes")
    return ImageFiles(folder, tuple(names)), np.array(targets, dtype=np.int64)


def is_image(file: Path) -> bool:
    """Return whether a file has the suffix of an image."""
    return file.suffix.lower() in SUFFIXES


def images_below(folder: Path) -> Iterator[Path]:
    """Yield the image files in a folder and below, by path; hidden ones are ignored.

    Raises:
        DataError: See :func:`files_below`.
    """
    return (file for file in files_below(folder) if is_image(file))


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and below, by path; hidden ones are ignored.

    Raises:
        DataError: A folder cannot be read, or a link points to a folder that contains it.
    """
    for entry in listing(folder):
        if not entry.is_dir():
            yield entry
        elif entry.is_symlink() and folder.resolve().is_relative_to(entry.resolve()):
            raise DataError(f"{entry}: a link to a folder that contains it; remove the link")
        else:
            yield from files_below(entry)


def file_keys(names: Sequence[str]) -> list[str]:
    """Return names that do not depend on the folders of the files if possible; ``hold_out`` uses them.

    Args:
        names: Paths with ``/`` between their parts, unique.

    Returns:
        The file names without folders if these are unique, else the paths.

    >>> file_keys(["Angry/a.png", "Fear/Fear/b.png"]), file_keys(["Angry/1.png", "Fear/1.png"])
    (['a.png', 'b.png'], ['Angry/1.png', 'Fear/1.png'])
    """
    bare = [name.rpartition("/")[2] for name in names]
    return bare if len(set(bare)) == len(bare) else list(names)
