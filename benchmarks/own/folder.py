"""A user's own faces in class folders, with or without a folder per split.

* ``DIR/{train,validation,test}/CLASS/*``: the given splits; the folders may have any name in :data:`SPLIT_NAMES`.
  Without a validation folder, a stratified tenth of train becomes validation.
* ``DIR/CLASS/*``: a stratified fifth becomes test (seed 1), and a tenth of the rest validation (seed 0).

If the names of all class folders of the training split are emotions (``happy``, ``joy``), the classes are these
emotions in canonical order, else the names of the folders, sorted. A class may have no folder in validation and test,
but must have one in train. Images are read as faces: crop photographs first.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np

from benchmarks.names import LAYOUTS, task_name
from benchmarks.own.names import (
    SPLIT_NAMES,
    TEST_SEED,
    TEST_SHARE,
    as_emotions,
    class_called,
    class_labels,
    split_called,
    task_spec,
)
from benchmarks.protocols.splits import HOLD_OUT, hold_out
from ciao_stream.exceptions import DataError
from ciao_stream.faces.dataset import FaceDataset, Split, TaskData
from ciao_stream.faces.readers.folders import class_folders, files_below, is_image, listing, read_class_folders
from ciao_stream.faces.readers.image_files import ImageFiles
from ciao_stream.faces.task import TaskSpec

LAYOUT = LAYOUTS["folder"]


def load(path: Path) -> TaskData:
    """Load a folder of images as a categorical task with the folder's name; no image is decoded.

    Args:
        path: The folder, see the module.

    Raises:
        DataError: Its name is not allowed for a task, or its content is not as described.
    """
    splits = _split_folders(path)
    return _from_splits(path, splits) if splits else _from_classes(path)


def has_class_folders(path: Path) -> bool:
    """Return whether a folder, or a folder of a split in it, has two or more folders with images."""
    homes = [path, *(folder for folder in class_folders(path) if split_called(folder.name))]
    return any(sum(any(map(is_image, listing(place))) for place in class_folders(home)) > 1 for home in homes)


def _split_folders(path: Path) -> dict[Split, Path]:
    """Return the folder of each split; none if the folders are classes."""
    found: dict[Split, Path] = {}
    others: list[str] = []
    for folder in class_folders(path):
        split = split_called(folder.name)
        if split is None:
            others.append(folder.name)
        elif split in found:
            raise DataError(f"{path}: {found[split].name} and {folder.name} are both {split}; merge them or remove one")
        else:
            found[split] = folder
    if not found:
        return {}
    if others:
        known = ", ".join(names[0] for names in SPLIT_NAMES.values())
        raise DataError(f"{path}: unknown folder {others[0]!r} next to the splits; expected {known}; move it away")
    if missing := [split for split in ("train", "test") if split not in found]:
        there = ", ".join(folder.name for folder in found.values())
        raise DataError(f"{path}: no folder {' nor '.join(missing)}; expected {LAYOUT}; found {there}")
    return found


def _from_splits(path: Path, folders: dict[Split, Path]) -> TaskData:
    """Load a folder that holds a folder per split."""
    spec = _spec(path, folders["train"])
    train, test = _whole(spec, "train", folders["train"]), _whole(spec, "test", folders["test"])
    if "validation" in folders:
        return TaskData(train, _whole(spec, "validation", folders["validation"]), test, protocol="splits as given")
    train, validation = _hold_out(path, train, "validation")
    protocol = "train and test as given; validation (10 %) carved from train, stratified by class"
    return TaskData(train, validation, test, protocol)


def _from_classes(path: Path) -> TaskData:
    """Load a folder that holds a folder per class; all splits are rows of one source."""
    train, test = _hold_out(path, _whole(_spec(path, path), "train", path), "test", TEST_SHARE, TEST_SEED)
    train, validation = _hold_out(path, train, "validation")
    return TaskData(train, validation, test, "test (20 %) and validation (10 %) carved, stratified by class")


def _spec(path: Path, folder: Path) -> TaskSpec:
    """Return the specification of the task: the name of ``path``, and a class per folder in ``folder``."""
    places = class_folders(folder)
    names = [place.name for place in places]
    for place in places if as_emotions(names) is None else ():
        inner = [entry.name for entry in class_folders(place)]
        if len(inner) > 1 and as_emotions(inner):
            raise DataError(
                f"{place} contains class folders ({', '.join(inner)}), but is a class folder itself; expected {LAYOUT}"
            )
    try:
        labels = class_labels(names)
    except DataError as error:
        raise DataError(f"{folder}: {error}") from error
    if len(labels) < 2:
        found = ", ".join(names) or "none"
        raise DataError(f"{folder}: expected folders of at least two classes but found {found}; expected {LAYOUT}")
    return task_spec(path, task_name(f"folder:{path}"), "categorical", labels)


def _whole(spec: TaskSpec, split: Split, folder: Path) -> FaceDataset:
    """Load all images of a folder with class folders, and count the other files by type."""
    called = partial(class_called, what="class folder")
    images, targets = read_class_folders(folder, spec.labels, called, complete=False)
    dropped = Counter("image in no class folder" for entry in listing(folder) if is_image(entry) and not entry.is_dir())
    others = (file for place in class_folders(folder) for file in files_below(place) if not is_image(file))
    dropped.update(f"not an image ({file.suffix.lower() or 'no file type'})" for file in others)
    rows = np.arange(len(images))
    return FaceDataset(spec, split, images, rows, targets, "real", "as annotated", dropped=dict(dropped))


def _hold_out(
    path: Path, faces: FaceDataset, split: Split, fraction: float = HOLD_OUT, seed: int = 0
) -> tuple[FaceDataset, FaceDataset]:
    """Carve a split from another one, which keeps the counts of dropped files."""
    files = cast(ImageFiles, faces.images).names
    kept, held = hold_out([files[row] for row in faces.rows], faces.classes(), fraction=fraction, seed=seed)
    if len(held) == 0:
        raise DataError(f"{path}: too few images to hold out some for {split}; expected at least three of a class")
    return faces.take(kept), replace(faces.take(held), split=split, dropped={})
