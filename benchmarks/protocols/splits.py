"""Splits for data sets that come without them: seeded, and decided by names alone, file by file or group by group."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

HOLD_OUT = 0.1
"""Share of the training rows that becomes the validation split."""


def hold_out(
    names: Sequence[str], classes: npt.NDArray[np.int64], *, fraction: float = HOLD_OUT, seed: int = 0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Split rows into train and validation, the same share of every class.

    Within a class the rows are ranked by the SHA-256 of ``seed/name`` and the first ones are held out. So the choice
    depends on the names alone: neither the order of a directory listing nor a library's random numbers enter, and a
    file added later moves at most one other file of its class.

    Args:
        names: Name of each row, unique (a path relative to the data set).
        classes: int64 (N,), class of each row.
        fraction: Share of each class to hold out, in (0, 1), rounded to the nearest row; a class of two or more rows
            gives at least one and keeps at least one, a class of one row keeps it.
        seed: Another seed gives another choice.

    Returns:
        Train rows and validation rows, int64, each ascending; together every row once.

    Raises:
        ValueError: ``names`` and ``classes`` differ in length, a name stands twice, or ``fraction`` is out of range.

    >>> train, validation = hold_out([f"{i}.png" for i in range(40)], np.repeat([0, 1], 20))
    >>> len(train), np.bincount(np.repeat([0, 1], 20)[validation])
    (36, array([2, 2]))
    """
    if len(names) != len(classes):
        raise ValueError(f"expected one class per name but got {len(names)} names and {len(classes)} classes")
    if len(set(names)) != len(names):
        raise ValueError("expected unique names: a row is chosen by its name")
    if not 0 < fraction < 1:
        raise ValueError(f"expected a fraction between 0 and 1 but got {fraction}")
    ranks = [hashlib.sha256(f"{seed}/{name}".encode(errors="surrogateescape")).digest() for name in names]
    held = np.zeros(len(names), dtype=bool)
    for label in np.unique(classes):
        rows = sorted(np.flatnonzero(classes == label).tolist(), key=ranks.__getitem__)
        if len(rows) > 1:
            held[rows[: min(max(round(fraction * len(rows)), 1), len(rows) - 1)]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


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
        classes: int64 (N,), class of each row. Where given, the share is taken from every class: a group counts with
            the class that most of its rows have, the first in a tie. None where groups are of no one class.
        fraction: Share of the rows to hold out, in (0, 1); of two or more groups (of a class) at least one is held
            out and at least one is kept, one group is kept.
        seed: Another seed gives another choice.

    Returns:
        Train rows and validation rows, int64, each ascending; together every row once.

    Raises:
        ValueError: ``groups`` and ``classes`` differ in length, or ``fraction`` is out of range.

    >>> train, validation = hold_out_groups(["ann", "bob", "ann", "eve", "bob"], fraction=0.3)
    >>> train, validation
    (array([0, 2]), array([1, 3, 4]))
    """
    classes = np.zeros(len(groups), dtype=np.int64) if classes is None else classes
    if len(groups) != len(classes):
        raise ValueError(f"expected one class per group name but got {len(groups)} names and {len(classes)} classes")
    if not 0 < fraction < 1:
        raise ValueError(f"expected a fraction between 0 and 1 but got {fraction}")
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
