"""A user's own faces in folders: one folder per class, in one folder per split or in none.

* ``DIR/{train,validation,test}/CLASS/*``: the splits are taken as they are, by any of :data:`SPLIT_NAMES`.
  Without a validation folder, a stratified tenth of train becomes validation.
* ``DIR/CLASS/*``: a stratified fifth becomes test (seed 1), and a tenth of the rest validation (seed 0).

If every class folder of the training split bears a known name of an emotion (``happy``, ``joy``), the classes are
these emotions in canonical order; else they are the folders' own names, sorted. A class may lack a folder in
validation and test, not in train. Images are taken for faces: crop them first.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np

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
from ciao_stream.exceptions import DataError, MissingDataError
from ciao_stream.faces.dataset import FaceDataset, Split, TaskData
from ciao_stream.faces.readers.folders import class_folders, files_below, is_image, listing, read_class_folders
from ciao_stream.faces.readers.image_files import ImageFiles
from ciao_stream.faces.task import TaskSpec

LAYOUT = "DIR/{train,validation,test}/CLASS/* (validation may be left out) or DIR/CLASS/*"
"""The folders expected."""


def load(path: Path) -> TaskData:
    """Load a folder of images as a categorical task that is named after it; no image is decoded.

    Args:
        path: The folder, see the module.

    Raises:
        DataError: There is no such folder, its name cannot name a task, or what it holds is not as described.
    """
    if not path.is_dir():
        if path.exists():
            raise DataError(f"{path} is no folder; a csv file is given as csv:{path}")
        raise MissingDataError(f"there is no folder {path}; expected {LAYOUT}")
    splits = _split_folders(path)
    return _from_splits(path, splits) if splits else _from_classes(path)


def _split_folders(path: Path) -> dict[Split, Path]:
    """Return the folder of each split; none where the folders are classes.

    Raises:
        DataError: A folder beside those of the splits is none of them, two are the same, or train or test lacks.
    """
    found: dict[Split, Path] = {}
    others: list[str] = []
    for folder in class_folders(path):
        split = split_called(folder.name)
        if split is None:
            others.append(folder.name)
        elif split in found:
            raise DataError(f"{path}: {found[split].name} and {folder.name} both are {split}; merge them or remove one")
        else:
            found[split] = folder
    if not found:
        return {}
    if others:
        known = ", ".join(names[0] for names in SPLIT_NAMES.values())
        raise DataError(f"{path}: unknown folder {others[0]!r} beside those of splits; expected {known}; move it away")
    if lacking := [split for split in ("train", "test") if split not in found]:
        there = ", ".join(folder.name for folder in found.values())
        raise DataError(f"{path}: no folder {' nor '.join(lacking)}; expected {LAYOUT}; found {there}")
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
    """Return the task: the name of ``path``, with a class per folder in ``folder``."""
    places = class_folders(folder)
    names = [place.name for place in places]
    for place in places if as_emotions(names) is None else ():
        inner = [entry.name for entry in class_folders(place)]
        if len(inner) > 1 and as_emotions(inner):
            raise DataError(
                f"{place} holds folders of classes in turn ({', '.join(inner)}), but is the folder of a class itself; "
                f"expected {LAYOUT}"
            )
    try:
        labels = class_labels(names)
    except DataError as error:
        raise DataError(f"{folder}: {error}") from error
    if len(labels) < 2:
        found = ", ".join(names) or "none"
        raise DataError(f"{folder}: expected folders of at least two classes but found {found}; expected {LAYOUT}")
    name = path.resolve().name if path.name in ("", "..") else path.name
    return task_spec(path, name, "categorical", labels)


def _whole(spec: TaskSpec, split: Split, folder: Path) -> FaceDataset:
    """Load all images of a folder with class folders, and count the files beside them."""
    called = partial(class_called, what="class folder")
    images, targets = read_class_folders(folder, spec.labels, called, complete=False)
    left_out = {
        "image in no class folder": sum(is_image(entry) and not entry.is_dir() for entry in listing(folder)),
        "no image by its name": sum(not is_image(file) for f in class_folders(folder) for file in files_below(f)),
    }
    dropped = {reason: n for reason, n in left_out.items() if n}
    return FaceDataset(spec, split, images, np.arange(len(images)), targets, "real", "as annotated", dropped=dropped)


def _hold_out(
    path: Path, faces: FaceDataset, split: Split, fraction: float = HOLD_OUT, seed: int = 0
) -> tuple[FaceDataset, FaceDataset]:
    """Carve a split from another one; what was left out stays counted with the other one."""
    files = cast(ImageFiles, faces.images).names
    kept, held = hold_out([files[row] for row in faces.rows], faces.classes(), fraction=fraction, seed=seed)
    if len(held) == 0:
        raise DataError(f"{path}: too few images to hold out some for {split}; expected three or more of a class")
    return faces.take(kept), replace(faces.take(held), split=split, dropped={})
