"""Splits and folds for data sets without official ones; they depend on names and a seed, not on the order of files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ciao_stream.exceptions import CiaoError, DataError
from ciao_stream.faces.dataset import SPLITS, FaceDataset, TaskData
from ciao_stream.faces.readers.folders import emotion_folder, file_keys, read_class_folders
from ciao_stream.faces.task import TaskSpec

Rows = npt.NDArray[np.int64]

Published = Mapping[str, int | Mapping[str, int]]

HOLD_OUT = 0.1
"""Share of the training rows that becomes the validation split."""


def hold_out(
    names: Sequence[str], classes: npt.NDArray[np.int64], *, fraction: float = HOLD_OUT, seed: int = 0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Split rows into train and validation, the same share of every class.

    Within a class the rows are ranked by the SHA-256 of ``seed/name`` and the first ones are held out. So the choice
    depends only on the names, not on the order of a directory listing or a library's random numbers, and a file that
    is added later moves at most one other file of its class.

    Args:
        names: Name of each row, unique (a path relative to the data set).
        classes: int64 (N,), class of each row.
        fraction: Share of each class to hold out, in (0, 1), rounded to the nearest row; a class of two or more rows
            gives at least one and keeps at least one, a class of one row keeps it.
        seed: Selects the rows.

    Returns:
        Train rows and validation rows, int64, each ascending; together every row once.

    Raises:
        CiaoError: ``names`` and ``classes`` differ in length, a name is given twice, or ``fraction`` is out of range.

    >>> train, validation = hold_out([f"{i}.png" for i in range(40)], np.repeat([0, 1], 20))
    >>> len(train), np.bincount(np.repeat([0, 1], 20)[validation])
    (36, array([2, 2]))
    """
    if len(names) != len(classes):
        raise CiaoError(f"expected one class per name but got {len(names)} names and {len(classes)} classes")
    if len(set(names)) != len(names):
        raise CiaoError("expected unique names: a row is chosen by its name")
    if not 0 < fraction < 1:
        raise CiaoError(f"expected a fraction between 0 and 1 but got {fraction}")
    ranks = [hashlib.sha256(f"{seed}/{name}".encode(errors="surrogateescape")).digest() for name in names]
    held = np.zeros(len(names), dtype=bool)
    for label in np.unique(classes):
        rows = sorted(np.flatnonzero(classes == label).tolist(), key=ranks.__getitem__)
        if len(rows) > 1:
            held[rows[: min(max(round(fraction * len(rows)), 1), len(rows) - 1)]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def carved_from_train(
    spec: TaskSpec,
    folders: tuple[Path, Path],
    rule: str,
    protocol: str,
    published: Published,
    *,
    label_of: Callable[[str, Sequence[str]], str] = emotion_folder,
    keys: Callable[[Sequence[str]], Sequence[str]] = file_keys,
) -> TaskData:
    """Load a folder of training faces and one of test faces, with one folder per class; validation is a tenth of train.

    Args:
        spec: The task.
        folders: Those of train and test.
        rule: Label rule.
        protocol: As in :class:`~ciao_stream.faces.dataset.TaskData`.
        published: As there.
        label_of: As in :func:`~ciao_stream.faces.readers.folders.read_class_folders`.
        keys: Returns the names by which :func:`hold_out` chooses.

    Raises:
        DataError: As :func:`~ciao_stream.faces.readers.folders.read_class_folders`.
    """
    (images, targets), (others, of_others) = (read_class_folders(folder, spec.labels, label_of) for folder in folders)
    train, validation = hold_out(keys(images.names), targets)
    return TaskData(
        FaceDataset(spec, "train", images, train, targets[train], "real", rule),
        FaceDataset(spec, "validation", images, validation, targets[validation], "real", rule),
        FaceDataset(spec, "test", others, np.arange(len(others)), of_others, "real", rule),
        protocol=protocol,
        published=published,
    )


def hold_out_groups(
    groups: Sequence[str],
    classes: npt.NDArray[np.int64] | None = None,
    *,
    fraction: float = HOLD_OUT,
    seed: int = 0,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Split rows into train and validation so that a group (a subject, a clip) is never on both sides.

    The groups are ranked by the SHA-256 of ``seed/group``, as :func:`hold_out` ranks files, and the first ones are
    held out until they hold the share of the rows. A large group that comes last may exceed the share.

    Args:
        groups: Name of each row's group.
        classes: int64 (N,), class of each row, to take the share from every class: a group has the class of most of its
            rows, the first in a tie. None to ignore classes.
        fraction: Share of the rows to hold out, in (0, 1); of two or more groups (of a class) at least one is held
            out and at least one is kept, one group is kept.
        seed: Selects the groups.

    Returns:
        Train rows and validation rows, int64, each ascending; together every row once.

    Raises:
        CiaoError: ``groups`` and ``classes`` differ in length, or ``fraction`` is out of range.

    >>> train, validation = hold_out_groups(["ann", "bob", "ann", "eve", "bob"], fraction=0.3)
    >>> train, validation
    (array([0, 2]), array([1, 3, 4]))
    """
    classes = np.zeros(len(groups), dtype=np.int64) if classes is None else classes
    if len(groups) != len(classes):
        raise CiaoError(f"expected one class per group name but got {len(groups)} names and {len(classes)} classes")
    if not 0 < fraction < 1:
        raise CiaoError(f"expected a fraction between 0 and 1 but got {fraction}")
    names, member = np.unique(np.array(groups, dtype=object), return_inverse=True)
    sizes = np.bincount(member, minlength=len(names))
    votes = np.zeros((len(names), int(classes.max(initial=0)) + 1), dtype=np.int64)
    np.add.at(votes, (member, classes), 1)
    class_of = votes.argmax(axis=1)
    ranks = [hashlib.sha256(f"{seed}/{name}".encode(errors="surrogateescape")).digest() for name in names]
    held = np.zeros(len(names), dtype=bool)
    for label in np.unique(class_of):
        ranked = sorted(np.flatnonzero(class_of == label).tolist(), key=ranks.__getitem__)
        before = np.cumsum([0, *sizes[ranked]])[:-1]
        enough = int((before < fraction * sizes[ranked].sum()).sum())
        held[ranked[: min(enough, len(ranked) - 1)]] = True
    return np.flatnonzero(~held[member]), np.flatnonzero(held[member])


@dataclass(frozen=True, eq=False)
class Fold:
    """The rows of one fold's splits, int64, each ascending; together they contain every row once.

    Args:
        name: What the fold holds out.
        train: Training rows.
        validation: Validation rows.
        test: Rows that are held out.
    """

    name: str
    train: Rows
    validation: Rows
    test: Rows


def leave_subjects_out(subjects: Sequence[str], where: Path, n_folds: int | None = None) -> list[Fold]:
    """Make folds whose train, validation and test have no person in common.

    In sorted order, subject ``i`` is in test in fold ``i % n``; the validation split is the next fold's test split.

    Args:
        subjects: The person in each row.
        where: The data set, for errors.
        n_folds: Number of folds, fewer where there are fewer subjects; None for one per subject.

    Raises:
        DataError: There are fewer than three subjects.

    >>> [(fold.name, fold.test) for fold in leave_subjects_out(["KM", "KA", "KL", "KA"], Path("jaffe"))]
    [('KA', array([1, 3])), ('KL', array([2])), ('KM', array([0]))]
    """
    people = sorted(set(subjects))
    n = len(people) if n_folds is None else min(n_folds, len(people))
    if n < 3:
        raise DataError(
            f"{where}: found only {', '.join(people)}; a train, a validation and a test split without common "
            "people need at least 3 subjects; get the whole data set"
        )
    fold_of = {person: number % n for number, person in enumerate(people)}
    tested_in = np.array([fold_of[person] for person in subjects])
    folds = []
    for k in range(n):
        test, validation = tested_in == k, tested_in == (k + 1) % n
        rows = map(np.flatnonzero, (~test & ~validation, validation, test))
        folds.append(Fold(_people(people[k::n]), *rows))
    return folds


def leave_parts_out(
    part_of: Rows,
    parts: Sequence[str],
    names: Sequence[str],
    classes: npt.NDArray[np.int64],
    together: Sequence[str] | None = None,
) -> list[Fold]:
    """Make one fold per part of the rows; its validation split is a stratified tenth of the rest.

    Args:
        part_of: int64 (N,), index into ``parts``.
        parts: Names of the folds.
        names: Name of each row, unique: :func:`hold_out` uses it.
        classes: int64 (N,), class of each row.
        together: Name of each row's group; no group is in both train and validation. None without groups.

    Raises:
        CiaoError: A name is given twice.
    """
    folds = []
    for k, part in enumerate(parts):
        rest = np.flatnonzero(part_of != k)
        if together is None:
            train, validation = hold_out([names[row] for row in rest.tolist()], classes[rest])
        else:
            train, validation = hold_out_groups([together[row] for row in rest.tolist()], classes[rest])
        folds.append(Fold(part, rest[train], rest[validation], np.flatnonzero(part_of == k)))
    return folds


def stratified(
    names: Sequence[str],
    classes: npt.NDArray[np.int64],
    where: Path,
    *,
    together: Sequence[str] | None = None,
    n_folds: int = 10,
    seed: int = 0,
) -> list[Fold]:
    """Make folds with every class split as evenly as possible.

    Within a class the rows are ranked by the SHA-256 of ``seed/name`` and dealt to the folds in turn; the next class
    starts at the fold after the last one.

    Args:
        names: Name of each row, unique.
        classes: int64 (N,), class of each row.
        where: The data set, for errors.
        together: Name of each row's group, whose rows are all of one class and stay in one split of every fold; None
            without groups.
        n_folds: Number of folds.
        seed: Selects the rows.

    Raises:
        DataError: There are fewer rows or groups than folds.
        CiaoError: A name is given twice.
    """
    groups = names if together is None else together
    class_of = dict(zip(groups, classes.tolist(), strict=True))
    if len(class_of) < n_folds:
        raise DataError(f"{where}: {len(class_of)} images or clips for {n_folds} folds; get the whole data set")

    def rank(group: str) -> tuple[int, bytes]:
        return class_of[group], hashlib.sha256(f"{seed}/{group}".encode(errors="surrogateescape")).digest()

    part_of_group = {group: number % n_folds for number, group in enumerate(sorted(class_of, key=rank))}
    part_of = np.array([part_of_group[group] for group in groups])
    parts = [f"part {k + 1} of {n_folds}" for k in range(n_folds)]
    return leave_parts_out(part_of, parts, names, classes, together)


def fold_data(samples: FaceDataset, fold: Fold, protocol: str, published: Published | None = None) -> TaskData:
    """Return the task of one fold; its splits are rows of the samples' image source.

    Args:
        samples: All samples, as a training split, which keeps ``dropped``.
        fold: The rows of each split.
        protocol: How the splits were made.
        published: Published number of samples, see :class:`~ciao_stream.faces.dataset.TaskData`.

    Raises:
        DataError: A split is empty.
    """
    train, validation, test = (
        samples.take(rows, split) for split, rows in zip(SPLITS, (fold.train, fold.validation, fold.test), strict=True)
    )
    return TaskData(train, validation, test, protocol=protocol, published=published or {}, fold=fold.name)


def cross_validation(
    samples: FaceDataset, folds: Sequence[Fold], protocol: str, published: Published | None = None
) -> TaskData:
    """Return the first fold, with all of them in ``folds``: see :func:`fold_data`."""
    return TaskData.cross_validation([fold_data(samples, fold, protocol, published) for fold in folds])


def _people(names: Sequence[str]) -> str:
    """Return a name for a fold, short even with many people."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
