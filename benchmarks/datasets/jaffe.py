"""JAFFE: 213 gray photos of ten Japanese women, seven classes; file names give person and emotion.

There are no official splits. The rule chooses the protocol:

===============  ======================================================================================================
``loso``         one fold per subject, who is in test; the next subject is in validation, the others in train
``loeo``         three folds: the first, second or third image of each emotion of each subject is in test ("leave one
                 emotion image out"); the fourth is in the first fold again, and so on
``kfold``        ten stratified folds, regardless of subjects
``ciaoface-70``  one split: the first ten files of each class, by name, are in test. The authors' code takes the first
                 ten in the order of its file system, which cannot be reproduced.
===============  ======================================================================================================

With ``-210``, at most three images of each emotion of each subject are kept. Papers report a balanced set of 210; the
distributed files give 207, because three subjects have only two images of one emotion.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.names import chosen_rule
from benchmarks.protocols.splits import (
    Fold,
    cross_validation,
    fold_data,
    hold_out,
    leave_parts_out,
    leave_subjects_out,
    stratified,
)
from ciao_stream.exceptions import DataError
from ciao_stream.faces.dataset import FaceDataset, TaskData
from ciao_stream.faces.readers.folders import find, images_below, missing
from ciao_stream.faces.readers.image_files import ImageFiles
from ciao_stream.faces.readers.labels import class_map
from ciao_stream.faces.task import EMOTIONS, TaskSpec

RULES: tuple[str, ...] = ("loso", "loeo", "kfold", "ciaoface-70", "loso-210", "loeo-210", "kfold-210")
"""Protocols; the first is the default."""

LAYOUT = (
    "ROOT/jaffe/SUBJECT.EMOTION.SERIAL.tiff (KA.AN1.39.tiff), or the same in ROOT/jaffedbase or ROOT/jaffeimages/jaffe"
)
"""The files expected under the data root."""

FOLDERS = ("jaffe", "jaffedbase", "jaffeimages/jaffe", "jaffeimages")
"""Folders of the images, in the order of the search."""

SPEC = TaskSpec("jaffe", "categorical", EMOTIONS[:7])

CODES = ("NE", "HA", "SU", "SA", "AN", "DI", "FE")
"""The emotions, as in file names."""

TAKES = 3
"""Usual number of images of one emotion of one subject."""

TESTED = 10
"""Test files per class in the authors' code."""

PUBLISHED = {
    "train+validation+test": {
        "neutral": 30, "happiness": 31, "surprise": 30, "sadness": 31, "anger": 30, "disgust": 29, "fear": 32,
    }
}  # fmt: skip

_NAME = re.compile(r"([A-Z]{2})\.([A-Z]{2})([0-9]{1,3})\.([0-9]{1,5})\.[A-Z]+", re.IGNORECASE)


class _Photo(NamedTuple):
    """One file, parsed from its name; photos sort by name, regardless of folder and file format."""

    name: str
    file: str
    subject: str
    code: str
    take: int
    serial: int


def load(root: Path, rule: str | None = None) -> TaskData:
    """Load JAFFE; no image is decoded.

    Args:
        root: Folder that holds the data sets.
        rule: One of :data:`RULES`, None for the first.

    Returns:
        Folds over classes 0 to 6 in canonical order, or one split by ``ciaoface-70``; photos, with subjects.

    Raises:
        DataError: Files are missing, a name is not like JAFFE's, or there are too few for the protocol.
        UnknownNameError: There is no such rule.
    """
    rule = chosen_rule(rule, RULES)
    folder = find(root, *FOLDERS)
    if folder is None:
        raise missing("jaffe", "no folder jaffe", root, LAYOUT)
    photos = _photos(folder)
    dropped: dict[str, int] = {}
    if balanced := rule.endswith("-210"):
        kept = [photo for photo, rank in zip(photos, _take_ranks(photos), strict=True) if rank < TAKES]
        dropped[f"beyond {TAKES} takes"] = len(photos) - len(kept)
        photos = kept
    samples = FaceDataset(
        SPEC,
        "train",
        ImageFiles(folder, tuple(photo.file for photo in photos)),
        np.arange(len(photos)),
        class_map(CODES, SPEC.labels)[[CODES.index(photo.code) for photo in photos]],
        "real",
        dropped=dropped,
        subjects=np.array([photo.subject for photo in photos]),
        framing="photo",
    )
    if rule == "ciaoface-70":
        protocol = f"the first {TESTED} files of each class are test, as in the authors' code; identity leak"
        return fold_data(samples, _first_files(photos, samples.classes(), folder), protocol, PUBLISHED)
    folds, protocol = _folds(rule.removesuffix("-210"), photos, samples.classes(), folder)
    if balanced:
        return cross_validation(samples, folds, f"{protocol}; at most {TAKES} takes")
    return cross_validation(samples, folds, protocol, PUBLISHED)


def _photos(folder: Path) -> list[_Photo]:
    """Return the photos below a folder, sorted by name."""
    photos = sorted(_parse(path, folder) for path in images_below(folder))
    if not photos:
        raise DataError(f"{folder}: no images in it; expected {LAYOUT}")
    takes: dict[tuple[str, str, int], str] = {}
    serials: dict[int, str] = {}
    for photo in photos:
        first = takes.setdefault((photo.subject, photo.code, photo.take), photo.file)
        if first == photo.file:
            first = serials.setdefault(photo.serial, photo.file)
        if first != photo.file:
            raise DataError(f"{folder}: {first} and {photo.file} claim to be the same photo; keep one of them")
    if absent := [code for code in CODES if all(photo.code != code for photo in photos)]:
        raise DataError(f"{folder}: no images of {', '.join(absent)}; get the whole data set")
    return photos


def _parse(path: Path, folder: Path) -> _Photo:
    parsed = _NAME.fullmatch(path.name)
    if parsed is None:
        raise DataError(
            f"{path}: the name does not give subject and emotion; expected one like KA.AN1.39.tiff; rename or remove it"
        )
    subject, code, take, serial = (part.upper() for part in parsed.groups())
    if code not in CODES:
        raise DataError(f"{path}: unknown emotion {code!r}; expected one of {', '.join(CODES)}")
    return _Photo(
        f"{subject}.{code}{take}.{serial}", path.relative_to(folder).as_posix(), subject, code, int(take), int(serial)
    )


def _take_ranks(photos: Sequence[_Photo]) -> npt.NDArray[np.int64]:
    """Return the number of earlier takes of each photo's subject and emotion, int64 (N,).

    Take numbers have gaps (KM.SA1, 2, 3 and 5), so the rank is used, not the number.
    """
    ranks = np.empty(len(photos), dtype=np.int64)
    seen: dict[tuple[str, str], int] = {}
    for row in sorted(range(len(photos)), key=lambda row: (photos[row].take, photos[row].name)):
        expression = photos[row].subject, photos[row].code
        ranks[row] = seen.get(expression, 0)
        seen[expression] = ranks[row] + 1
    return ranks


def _folds(rule: str, photos: Sequence[_Photo], targets: npt.NDArray[np.int64], folder: Path) -> tuple[list[Fold], str]:
    """Return the folds of a cross-validation, and the protocol in words."""
    names = [photo.name for photo in photos]
    if rule == "loso":
        folds = leave_subjects_out([photo.subject for photo in photos], folder)
        return folds, f"leave one subject out, {len(folds)} folds"
    if rule == "kfold":
        folds = stratified(names, targets, folder)
        return folds, f"{len(folds)} stratified folds, seeded; identity leak"
    ranks = _take_ranks(photos)
    if (most := int(ranks.max()) + 1) < TAKES:
        raise DataError(
            f"{folder}: no subject has more than {most} images of an emotion; "
            f"{TAKES} folds by take need {TAKES}; get the whole data set"
        )
    folds = leave_parts_out(ranks % TAKES, [f"take {k + 1}" for k in range(TAKES)], names, targets)
    return folds, f"leave one emotion image out, {TAKES} folds by take; identities shared by train and test"


def _first_files(photos: Sequence[_Photo], targets: npt.NDArray[np.int64], folder: Path) -> Fold:
    """Make the split of ``ciaoface-70``; the photos are sorted by name."""
    test = np.zeros(len(photos), dtype=bool)
    for label, emotion in enumerate(SPEC.labels):
        rows = np.flatnonzero(targets == label)
        if len(rows) < TESTED + 2:
            raise DataError(
                f"{folder}: {len(rows)} images of {emotion}; expected {TESTED} for the test split and at least one "
                "each for train and validation; get the whole data set"
            )
        test[rows[:TESTED]] = True
    rest = np.flatnonzero(~test)
    train, validation = hold_out([photos[row].name for row in rest.tolist()], targets[rest])
    return Fold("", rest[train], rest[validation], np.flatnonzero(test))
