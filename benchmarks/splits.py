"""A validation split for data sets that come without one: stratified, seeded, and decided file by file."""

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
