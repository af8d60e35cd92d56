"""Splits of a user's csv file: as its column ``split`` gives them, or carved by subject, by group or by image."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.own.names import TEST_SEED, TEST_SHARE, split_called
from benchmarks.own.table import Row, shown
from benchmarks.protocols.splits import HOLD_OUT, hold_out_groups
from ciao_stream.exceptions import DataError, UnknownNameError
from ciao_stream.faces.dataset import SPLITS, Split

Rows = npt.NDArray[np.int64]


def group_numbers(rows: Sequence[Row], targets: npt.NDArray[np.generic]) -> Rows:
    """Return the group of each row, int64 (N,), numbered in the order of their names.

    Args:
        rows: Rows with a column ``group``.
        targets: (N,) or (N, n_out), the target of each.

    Raises:
        DataError: Two rows of a group differ in target, split or subject.
    """
    first: dict[str, int] = {}
    for index, row in enumerate(rows):
        other = first.setdefault(row.text("group"), index)
        differs: list[str] = [
            what for what in ("split", "subject") if what in row.cells and _cell(row, what) != _cell(rows[other], what)
        ]
        if not np.array_equal(targets[index], targets[other]):
            differs.append("target")
        if differs:
            raise DataError(
                f"{row.where}: the rows of a group are judged as one, but this row's {differs[0]} is not that of "
                f"line {rows[other].line}, of the same group {shown(row.cells['group'])}"
            )
    return np.unique([row.cells["group"] for row in rows], return_inverse=True)[1].astype(np.int64)


def split_rows(path: Path, rows: Sequence[Row], classes: npt.NDArray[np.int64] | None) -> tuple[dict[Split, Rows], str]:
    """Return the rows of each split, int64, each ascending, and the protocol in words.

    Args:
        path: The csv file, for errors.
        rows: Its rows; with a column ``split`` the splits are those given, and only a validation split that has no
            rows is carved.
        classes: int64 (N,), class of each row; None where the task has none.

    Raises:
        DataError: A split's name is unknown, train or test has no rows, or too little is there to carve from.
    """
    what = next((column for column in ("subject", "group") if column in rows[0].cells), "file")
    units = [posixpath.normpath(_cell(row, what)) if what == "file" else _cell(row, what) for row in rows]
    how = "by file" if what == "file" else f"by whole {what}s"
    if what == "subject":
        classes = None
    elif classes is not None:
        how += ", stratified by class"

    def carve(split: Split, of: Rows, fraction: float = HOLD_OUT, seed: int = 0) -> tuple[Rows, Rows]:
        of_class = None if classes is None else classes[of]
        kept, held = hold_out_groups([units[row] for row in of], of_class, fraction=fraction, seed=seed)
        if not len(held):
            raise DataError(
                f"{path}: too few {what}s to carve {split} from ({len({units[row] for row in of})}); "
                "add some, or give the splits in a column split"
            )
        return of[kept], of[held]

    if "split" not in rows[0].cells:
        rest, test = carve("test", np.arange(len(rows)), TEST_SHARE, TEST_SEED)
        train, validation = carve("validation", rest)
        protocol = f"test (20 %) and validation (10 %) carved {how}"
        return {"train": train, "validation": validation, "test": test}, protocol
    given = np.array([_cell(row, "split") for row in rows])
    found = {split: np.flatnonzero(given == split) for split in SPLITS}
    if lacking := [split for split in ("train", "test") if not len(found[split])]:
        raise DataError(
            f"{path}: no row is in split {lacking[0]}; add some, or leave out the column split to have splits carved"
        )
    if len(found["validation"]):
        return found, "splits as given"
    found["train"], found["validation"] = carve("validation", found["train"])
    return found, f"train and test as given; validation (10 %) carved from train {how}"


def _cell(row: Row, column: str) -> str:
    """Return a cell; a split by its usual name.

    Raises:
        DataError: It is empty, or no split.
    """
    text = row.text(column)
    if column != "split":
        return text
    if (split := split_called(text)) is None:
        raise DataError(f"{row.where}: {UnknownNameError('split', text[:40], SPLITS)}")
    return split
