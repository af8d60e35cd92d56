"""RAF-DB, basic part: 15,339 faces from the web, seven emotions, with the authors' train and test.

The official files have the labels in ``list_patition_label.txt`` (sic); a version on Kaggle has one folder per label
number. Numbers are mapped by the authors' names. There is no validation split, and much published code selects its best
epoch on test; here validation is a stratified tenth of train, the same faces for both versions and rules.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.names import chosen_rule
from benchmarks.protocols.splits import carved_from_train, hold_out
from ciao_stream.exceptions import DataError, UnknownNameError
from ciao_stream.faces.dataset import FaceDataset, Framing, Split, TaskData
from ciao_stream.faces.readers.csv_lines import read_lines
from ciao_stream.faces.readers.folders import file_keys, find, listing, missing
from ciao_stream.faces.readers.image_files import ImageFiles
from ciao_stream.faces.readers.labels import class_map
from ciao_stream.faces.task import EMOTIONS, TaskSpec

RULES: tuple[str, ...] = ("aligned", "original")
"""Which images: faces aligned by the authors (100x100; the default), or the original photos."""

LAYOUT = (
    "ROOT/rafdb/basic/EmoLabel/list_patition_label.txt (lines like 'train_00001.jpg 5') "
    "and ROOT/rafdb/basic/Image/aligned/*_aligned.jpg (rule original: ROOT/rafdb/basic/Image/original/*.jpg) "
    "or ROOT/rafdb/DATASET/{train,test}/{1..7}/*.jpg (rule aligned alone)"
)
"""The files expected under the data root."""

CLASSES = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
"""The classes of the label numbers 1 to 7."""

SPEC = TaskSpec("rafdb", "categorical", EMOTIONS[:7])

_PROTOCOL = "official train and test; validation carved from train"
_PUBLISHED = {"train+validation": 12_271, "test": 3_068}
_FOLDERS = tuple(
    f"{folder}{level}"
    for folder in ("rafdb/", "raf-db/", "raf_db/", "raf db/", "raf/")
    for level in ("basic/", "", "DATASET/")
)
_LISTS = ("list_patition_label.txt", "list_partition_label.txt")
_NUMBERS = tuple(str(number) for number in range(1, len(CLASSES) + 1))
_NAME = re.compile(r"(train|test)_[0-9]+\.jpg")


def load(root: Path, rule: str | None = None) -> TaskData:
    """Load RAF-DB's basic part; no image is decoded.

    Args:
        root: Folder that holds the data sets. The official version is preferred to the one in folders.
        rule: One of :data:`RULES`, None for the first.

    Returns:
        Three splits with classes 0 to 6 in canonical order.

    Raises:
        DataError: The files are missing or damaged.
        UnknownNameError: There is no such rule.
    """
    rule = chosen_rule(rule, RULES)
    if labels := find(root, *(f"{folder}EmoLabel/{name}" for folder in _FOLDERS for name in _LISTS)):
        return _from_list(labels, rule)
    what = "no EmoLabel/list_patition_label.txt"
    if train := find(root, *(f"{folder}train" for folder in _FOLDERS)):
        if rule == RULES[0] and (test := find(train.parent, "test")):
            label_rule = f"as annotated ({rule} images)"
            return carved_from_train(
                SPEC, (train, test), label_rule, _PROTOCOL, _PUBLISHED, label_of=_numbered, keys=_listed
            )
        what += " (the version in folders has no original images)" if rule != RULES[0] else " and no test folder"
    else:
        what += " and no folders train and test"
    raise missing("rafdb", what, root, LAYOUT, [find(root, folder.rstrip("/")) for folder in _FOLDERS])


def _from_list(path: Path, rule: str) -> TaskData:
    """Load the official version; all splits are rows of one source, in the order of the list."""
    lines, numbers = _read_list(path)
    files = [f"{name[:-4]}_aligned.jpg" if rule == RULES[0] else name for name in lines]
    folder = _image_folder(path, rule)
    there = {entry.name for entry in listing(folder)}
    if absent := [(line, file) for line, file in zip(lines.values(), files, strict=True) if file not in there]:
        (line, file), more = absent[0], f" (and {len(absent) - 1:,} more)" if len(absent) > 1 else ""
        raise DataError(f"{path}, line {line}: no image {folder / file}{more}; unpack the {rule} images again")
    unlisted = [name for name in there.difference(files) if name.lower().endswith(".jpg")]
    images = ImageFiles(folder, tuple(files))
    names, targets = list(lines), class_map(CLASSES, SPEC.labels)[numbers - 1]
    in_test = np.array([name.startswith("test_") for name in names])
    framing: Framing = "face" if rule == RULES[0] else "photo"

    def dataset(split: Split, rows: npt.NDArray[np.int64]) -> FaceDataset:
        n = sum(name.startswith(f"{split}_") for name in unlisted)
        dropped = {"image without a line in the list": n} if n else {}
        label_rule = f"as annotated ({rule} images)"
        return FaceDataset(
            SPEC, split, images, rows, targets[rows], "real", label_rule=label_rule, dropped=dropped, framing=framing
        )

    of_train, of_test = np.flatnonzero(~in_test), np.flatnonzero(in_test)
    train, validation = hold_out([names[row] for row in of_train], targets[of_train])
    return TaskData(
        dataset("train", of_train[train]),
        dataset("validation", of_train[validation]),
        dataset("test", of_test),
        protocol=_PROTOCOL,
        published=_PUBLISHED,
    )


def _image_folder(path: Path, rule: str) -> Path:
    """Return the folder of a rule's images; some zips nest it in a folder of the same name."""
    home = path.parent.parent
    folder = find(home, f"Image/{rule}/{rule}", f"Image/{rule}")
    if folder is None or not folder.is_dir():
        raise DataError(f"{home / 'Image' / rule}: no such folder; unpack the {rule} images there")
    return folder


def _read_list(path: Path) -> tuple[dict[str, int], npt.NDArray[np.int64]]:
    """Return the line of each file name, in order, and the label numbers, int64 (N,)."""
    lines: dict[str, int] = {}
    numbers: list[int] = []
    for line in read_lines(path):
        try:
            words = line.raw.decode("utf-8-sig").split()
        except UnicodeDecodeError as error:
            raise DataError(f"{line.where}: not UTF-8 text; get the file again") from error
        if len(words) != 2:
            raise DataError(f"{line.where}: {len(words)} words; expected a file name and a label: 'train_00001.jpg 5'")
        name, number = words
        if not _NAME.fullmatch(name):
            raise DataError(f"{line.where}: file name {name[:40]!r}; expected train_NUMBER.jpg or test_NUMBER.jpg")
        if number not in _NUMBERS:
            known = ", ".join(f"{n} {label}" for n, label in zip(_NUMBERS, CLASSES, strict=True))
            raise DataError(f"{line.where}: label {number[:20]!r}; expected one of {known}")
        if name in lines:
            raise DataError(f"{line.where}: {name} is already in line {lines[name]}; get the file again")
        lines[name] = line.number
        numbers.append(int(number))
    for split in ("train", "test"):
        if not any(name.startswith(f"{split}_") for name in lines):
            raise DataError(f"{path}: no line for an image of {split} ({split}_*.jpg); get the file again")
    return lines, np.array(numbers)


def _listed(names: Sequence[str]) -> list[str]:
    """Return the names that the official list has for the files."""
    return [key.replace("_aligned.", ".") for key in file_keys(names)]


def _numbered(name: str, labels: Sequence[str]) -> str:
    """Return the label of a folder whose name is a label number."""
    if name not in _NUMBERS:
        raise UnknownNameError("class folder", name, _NUMBERS)
    return labels[labels.index(CLASSES[int(name) - 1])]
