"""One folder per class, named by the class: ``angry/*.jpg``, ``happy/*.jpg``, ..."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.image_files import SUFFIXES, ImageFiles
from benchmarks.labels import canonical
from ciao_stream.exceptions import DataError, UnknownNameError


def read_class_folders(folder: Path, labels: Sequence[str]) -> tuple[ImageFiles, npt.NDArray[np.int64]]:
    """List the images of a folder that holds one folder per class; none is opened.

    The order is by class folder and file name, whatever order the file system lists them in. Hidden files and files
    that are no jpg or png are passed over.

    Args:
        folder: The folder that holds the class folders.
        labels: Canonical names of the classes, in the order of the task.

    Returns:
        The images, and the class of each: int64 (N,), index into ``labels``.

    Raises:
        DataError: A class folder's name is unknown, a class has no folder, or a class folder has no images.
    """
    names: list[str] = []
    targets: list[int] = []
    for class_folder in sorted(entry for entry in _visible(folder) if entry.is_dir()):
        try:
            label = canonical(class_folder.name, labels, "class folder")
        except UnknownNameError as error:
            raise DataError(f"{folder}: {error}") from error
        files = sorted(entry.name for entry in _visible(class_folder) if entry.suffix.lower() in SUFFIXES)
        if not files:
            raise DataError(f"{class_folder}: no images in it; expected files that end in {', '.join(SUFFIXES)}")
        names += [f"{class_folder.name}/{name}" for name in files]
        targets += [labels.index(label)] * len(files)
    if missing := [label for index, label in enumerate(labels) if index not in targets]:
        raise DataError(f"{folder}: no class folder for {', '.join(missing)}; expected one for each of the classes")
    return ImageFiles(folder, tuple(names)), np.array(targets, dtype=np.int64)


def _visible(folder: Path) -> list[Path]:
    """Return the entries of a folder whose names do not begin with a dot."""
    try:
        return [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror or error})") from error
