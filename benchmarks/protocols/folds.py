"""Cross-validation: what each fold holds out, decided by names alone, never by the order of a listing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.protocols.splits import hold_out, hold_out_groups
from ciao_stream.exceptions import DataError
from ciao_stream.faces.dataset import SPLITS, FaceDataset, TaskData

Rows = npt.NDArray[np.int64]
Published = Mapping[str, int | Mapping[str, int]]


@dataclass(frozen=True, eq=False)
class Fold:
    """The rows of one fold's splits, int64, each ascending; together every row once.

    Args:
        name: What the fold holds out.
        train: What is learned from.
        validation: What choices are made on.
        test: What is held out.
    """

    name: str
    train: Rows
    validation: Rows
    test: Rows


def leave_subjects_out(subjects: Sequence[str], where: Path, n_folds: int | None = None) -> list[Fold]:
    """Make folds whose train, validation and test share nobody.

    Subject ``i``, in sorted order, is tested in fold ``i % n``; the validation split is what the next fold tests.

    Args:
        subjects: Who each row shows.
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
            f"{where}: found only {', '.join(people)}; a train, a validation and a test split that share nobody need "
            "3 subjects at least; get the whole data set"
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
        names: Name of each row, unique: :func:`benchmarks.protocols.splits.hold_out` chooses by it.
        classes: int64 (N,), class of each row.
        together: Name of each row's group, which is never in train and in validation; None where there are no groups.

    Raises:
        ValueError: A name stands twice.
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
    """Make folds that share every class, as evenly as it goes.

    Within a class the rows are ranked by the SHA-256 of ``seed/name`` and dealt to the folds in turn; the next class
    goes on with the fold at which the last one stopped.

    Args:
        names: Name of each row, unique.
        classes: int64 (N,), class of each row.
        where: The data set, for errors.
        together: Name of each row's group, whose rows are all of one class and stay in one split of every fold; None
            where each row goes its own way.
        n_folds: Number of folds.
        seed: Another seed gives another choice.

    Raises:
        DataError: There is less to deal than there are folds.
        ValueError: A name stands twice.
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
    """Return the splits of one fold: rows of the samples' image source.

    Args:
        samples: All samples, as a training split; what was dropped of them stays with that.
        fold: Which sample goes where.
        protocol: How the splits were made.
        published: How many samples there should be: see :class:`~ciao_stream.faces.dataset.TaskData`.

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
    """Return the first fold, which knows them all: see :func:`fold_data`."""
    return TaskData.cross_validation([fold_data(samples, fold, protocol, published) for fold in folds])


def _people(names: Sequence[str]) -> str:
    """Return a fold's name that stays short with many people."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
