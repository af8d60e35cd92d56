"""MMAFEDB: 127,680 faces from the web, seven emotions, with its own train, valid and test.

It very probably contains FER2013, hence FER+'s images: it has 28,709 RGB files in train, 3,589 in valid and 3,589 in
test, exactly FER2013's numbers. So transfer between them, or a sequence with both, may measure duplicates: run ``data
check`` on both first. There is no paper, and how it was labelled is not known.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.names import chosen_rule
from ciao_stream.faces.dataset import FaceDataset, Split, TaskData
from ciao_stream.faces.readers.folders import find, missing, read_class_folders
from ciao_stream.faces.task import EMOTIONS, TaskSpec

RULES: tuple[str, ...] = ("as annotated",)
"""Label rules; the first is the default."""

LAYOUT = "ROOT/mmafedb/{train,valid,test}/CLASS/* or ROOT/mmafedb/MMAFEDB/{train,valid,test}/CLASS/*"
"""The files expected under the data root."""

SPEC = TaskSpec("mmafedb", "categorical", EMOTIONS[:7])

PUBLISHED: dict[str, int | dict[str, int]] = {
    "train": 92_968,
    "validation": 17_356,
    "test": {
        "neutral": 5858, "happiness": 5459, "surprise": 1475, "sadness": 2177, "anger": 1041, "disgust": 655,
        "fear": 691,
    },
}  # fmt: skip
"""Counts of the files on Kaggle; test has 17,356."""

_FOLDERS = ("mmafedb", "mma-fedb", "mma_fedb", "mma", "mma-facial-expression")
_SPLITS: dict[Split, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("valid", "validation", "val"),
    "test": ("test",),
}


def load(root: Path, rule: str | None = None) -> TaskData:
    """Load MMAFEDB; no image is decoded.

    Args:
        root: Folder that holds the data sets.
        rule: One of :data:`RULES`, None for the first.

    Returns:
        Three splits with classes 0 to 6 in canonical order.

    Raises:
        DataError: The files are missing or damaged.
        UnknownNameError: There is no such rule.
    """
    chosen_rule(rule, RULES)
    homes = [f"{folder}{level}" for folder in _FOLDERS for level in ("/MMAFEDB", "")]
    train = find(root, *(f"{home}/train" for home in homes))
    folders = {split: find(train.parent, *names) for split, names in _SPLITS.items()} if train else {}
    if lacking := [names[0] for split, names in _SPLITS.items() if folders.get(split) is None]:
        looked_in = [find(root, home) for home in homes]
        raise missing("mmafedb", f"no folder {' nor '.join(lacking)}", root, LAYOUT, looked_in)
    train_faces, validation, test = (_read(folder, split) for split, folder in folders.items() if folder)
    return TaskData(train_faces, validation, test, "the data set's own splits", PUBLISHED)


def _read(folder: Path, split: Split) -> FaceDataset:
    """Load one split's folder."""
    images, targets = read_class_folders(folder, SPEC.labels)
    return FaceDataset(SPEC, split, images, np.arange(len(images)), targets, "real", RULES[0])
