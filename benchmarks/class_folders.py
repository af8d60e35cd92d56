"""One folder per class, named by the class: ``angry/*.jpg``, ``happy/*.jpg``, ..."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.image_files import SUFFIXES, ImageFiles
from benchmarks.labels import canonical
from benchmarks.layout import listing
from ciao_stream.exceptions import DataError, UnknownNameError


def emotion_folder(name: str, labels: Sequence[str]) -> str:
    """Return the emotion that a folder's name stands for: see :func:`benchmarks.labels.canonical`."""
    return canonical(name, labels, "class folder")


def read_class_folders(
    folder: Path, labels: Sequence[str], label_of: Callable[[str, Sequence[str]], str] = emotion_folder
) -> tuple[ImageFiles, npt.NDArray[np.int64]]:
    """List the images of a folder that holds one folder per class; none is opened.

    The order is by path, whatever order the file system lists them in. A class folder may hold folders in turn.
    Hidden files and files that are no images by their name are passed over.

    Args:
        folder: The folder that holds the class folders.
        labels: Names of the classes, in the order of the task.
        label_of: Returns which of ``labels`` a class folder's name stands for, or raises UnknownNameError.

    Returns:
        The images, and the class of each: int64 (N,), index into ``labels``.

    Raises:
        DataError: A class folder's name is unknown, a class has no folder, or a class folder has no images.
    """
    names: list[str] = []
    targets: list[int] = []
    for class_folder in (entry for entry in listing(folder) if entry.is_dir()):
        try:
            label = label_of(class_folder.name, labels)
        except UnknownNameError as error:
            raise DataError(f"{folder}: {error}") from error
        files = [path.relative_to(folder).as_posix() for path in images_below(class_folder)]
        if not files:
            raise DataError(f"{class_folder}: no images in it; expected files that end in {', '.join(SUFFIXES)}")
        names += files
        targets += [labels.index(label)] * len(files)
    if missing := [label for index, label in enumerate(labels) if index not in targets]:
        raise DataError(f"{folder}: no class folder for {', '.join(missing)}; expected one for each of the classes")
    return ImageFiles(folder, tuple(names)), np.array(targets, dtype=np.int64)


def images_below(folder: Path) -> Iterator[Path]:
    """Yield the image files in a folder and in those below it, by path; hidden ones are passed over.

    Raises:
        DataError: A folder cannot be read.
    """
    for entry in listing(folder):
        if entry.is_dir():
            yield from images_below(entry)
        elif entry.suffix.lower() in SUFFIXES:
            yield entry
