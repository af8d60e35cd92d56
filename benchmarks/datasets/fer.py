"""FER2013: 35,887 gray faces of 48x48 from the web, seven classes.

The csv has the competition's splits: Training, PublicTest (validation) and PrivateTest (test). The folder version on
Kaggle merges the last two into its ``test``, and they cannot be separated: there, validation is a stratified tenth of
``train``, and results on its test are not comparable with results on PrivateTest.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.names import chosen_rule
from benchmarks.protocols.splits import carved_from_train
from ciao_stream.exceptions import MissingDataError
from ciao_stream.faces.dataset import SPLITS, FaceDataset, Split, TaskData
from ciao_stream.faces.readers.folders import find, missing
from ciao_stream.faces.readers.labels import class_map
from ciao_stream.faces.readers.pixel_csv import CLASSES, scan
from ciao_stream.faces.task import EMOTIONS, TaskSpec

RULES: tuple[str, ...] = ("as annotated",)
"""Label rules; the first is the default."""

LAYOUT = (
    "ROOT/fer2013/fer2013.csv (columns emotion, pixels, Usage) or ROOT/fer2013/icml_face_data.csv "
    "or ROOT/fer2013/{train,test}/CLASS/*.jpg"
)
"""The files expected under the data root."""

SPEC = TaskSpec("fer", "categorical", EMOTIONS[:7])

PUBLISHED = {"train": 28_709, "validation": 3_589, "test": 3_589}
"""Faces of the competition."""

PUBLISHED_FOLDERS = {"train+validation": 28_709, "test": 7_178}
"""Faces of the folder version, whose test contains PublicTest and PrivateTest."""

FOLDER_PROTOCOL = "folder version: test is PublicTest and PrivateTest in one; validation carved from train"
"""How the splits of the folder version are made."""

FACES = tuple(
    f"{folder}{name}"
    for folder in ("fer2013/", "fer/", "ferplus/", "")
    for name in ("fer2013.csv", "icml_face_data.csv")
)
"""Paths of the csv with the faces, in the order of the search."""

VOTES = tuple(f"{folder}fer2013new.csv" for folder in ("ferplus/", "fer2013/", "fer/", ""))
"""Paths of FER+'s votes, in the order of the search."""

FOLDERS = ("fer2013", "fer")
"""Folders that may contain the folder version, ``train`` and ``test``."""


def load(root: Path, rule: str | None = None) -> TaskData:
    """Load FER2013; no image is decoded.

    Args:
        root: Folder that holds the data sets. The csv versions are preferred to the folder version.
        rule: One of :data:`RULES`, None for the first.

    Returns:
        Three splits with classes 0 to 6 in canonical order; the images are uint8 (48, 48).

    Raises:
        DataError: The files are missing or damaged.
        UnknownNameError: There is no such rule.
    """
    chosen_rule(rule, RULES)
    if csv := find(root, *FACES):
        return _from_csv(csv)
    for folder in FOLDERS:
        folders = root / folder / "train", root / folder / "test"
        if all(one.is_dir() for one in folders):
            return carved_from_train(SPEC, folders, RULES[0], FOLDER_PROTOCOL, PUBLISHED_FOLDERS, keys=list)
    raise fer_missing("fer", "no csv with faces and no train and test folders", root, LAYOUT)


def _from_csv(path: Path) -> TaskData:
    """Load a csv version."""
    table = scan(path)
    targets = class_map(CLASSES, SPEC.labels)[table.emotions]

    def dataset(split: Split) -> FaceDataset:
        source = table.source(split)
        return FaceDataset(SPEC, split, source, np.arange(len(source)), targets[table.rows(split)], "real", RULES[0])

    train, validation, test = map(dataset, SPLITS)
    return TaskData(train, validation, test, published=PUBLISHED)


def fer_missing(task: str, what: str, root: Path, layout: str) -> MissingDataError:
    """Return the error for missing files."""
    return missing(task, what, root, layout, [find(root, name) for name in (*FOLDERS, "ferplus")])
