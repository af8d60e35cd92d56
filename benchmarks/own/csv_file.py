"""A user's own faces in a csv file: one row per face, targets of any of the four kinds.

========================================  =========================================================================
column                                    meaning
========================================  =========================================================================
``file``                                  the image, relative to the folder of the csv file, or absolute
``split`` (optional)                      ``train``, ``validation`` (``val``, ``valid``) or ``test``
``subject`` (optional)                    the person
``group`` (optional)                      any text: the rows of one group (frames of a clip) are evaluated as one
``x``, ``y``, ``width``, ``height``       the box of the face, in pixels; all four columns or none; if all four cells
                                          of a row are empty, the face is the whole image
``label``                                 categorical: the class's name
``votes:NAME``, one per class             votes: how many annotators chose this class, or their share
``value:NAME``, one per dimension         dimensional: a number in [-1, 1]
``has:NAME``, one per label               multilabel: 0 or 1
========================================  =========================================================================

A file uses exactly one of the last four forms of target. Classes and labels that are all emotions are put in canonical
order; otherwise the names of ``label`` are sorted, and columns keep their order.

Without ``split``, a fifth becomes test (seed 1) and a tenth of the rest validation (seed 0); with ``split`` but without
validation rows, a tenth of train becomes validation. Splits are carved by whole subjects if subjects are given, else by
images or whole groups, the same share of each class. Images without boxes are read as faces: crop photographs first.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.own.names import TEST_SEED, TEST_SHARE, split_called, task_spec
from benchmarks.own.table import FORMS, FORMS_TEXT, Row, read_table, read_targets, shown, target_form
from benchmarks.protocols.splits import HOLD_OUT, hold_out_groups
from ciao_stream.exceptions import DataError, UnknownNameError, did_you_mean
from ciao_stream.faces.dataset import SPLITS, FaceDataset, ImageSource, Split, TaskData
from ciao_stream.faces.readers.image_files import Cropped, ImageFiles

LAYOUT = "a csv file with a column file, and targets as " + FORMS_TEXT
"""The expected file."""

BOX = ("x", "y", "width", "height")
"""Columns of the face box: upper left corner and size in pixels."""

COLUMNS = ("file", "split", "subject", "group", *BOX)
"""Columns other than targets."""

_LARGEST = 1_000_000
"""Pixels; larger coordinates are refused."""


Rows = npt.NDArray[np.int64]


def load(path: Path) -> TaskData:
    """Load a csv file as a task with the file's name; no image is decoded.

    Args:
        path: The csv file, see the module.

    Raises:
        DataError: Its name is not allowed for a task, a row or column is not as described, or an
            image is missing.
    """
    columns, rows = read_table(path)
    _check_columns(path, columns)
    targets = read_targets(path, columns, rows)
    spec = task_spec(path, path.stem, targets.kind, targets.labels)
    boxes = _boxes(rows) if "width" in columns else None
    images = _images(path, rows, boxes)
    source: ImageSource = images if boxes is None else Cropped(images, boxes)
    groups = _group_numbers(rows, targets.values) if "group" in columns else None
    subjects = np.array([row.text("subject") for row in rows]) if "subject" in columns else None
    everything = np.arange(len(rows))
    faces = FaceDataset(spec, "train", source, everything, targets.values, "real", groups=groups, subjects=subjects)
    splits, protocol = _split_rows(path, rows, faces.classes() if spec.has_classes else None)
    train, validation, test = (replace(faces.take(splits[split]), split=split) for split in SPLITS)
    if spec.kind == "categorical":
        for split in (validation, test):
            _check_trained(rows, train, split)
    data = TaskData(train, validation, test, protocol)
    shared = data.shared_subjects()
    return replace(data, protocol=f"{protocol}; identities shared by train and test: {len(shared)}") if shared else data


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    """Raise a DataError for columns that are unknown, or missing."""
    unknown = [column for column in columns if column not in COLUMNS and target_form(column) is None]
    if unknown:
        known = ", ".join([*COLUMNS, *(f"{form}NAME" if form.endswith(":") else form for form in FORMS)])
        raise DataError(f"{path}, line 1: unknown {', '.join(map(_hint, unknown[:5]))}; known: {known}")
    if "file" not in columns:
        raise DataError(f"{path}, line 1: no column file; expected {LAYOUT}")
    lacking = [column for column in BOX if column not in columns]
    if 0 < len(lacking) < len(BOX):
        raise DataError(f"{path}, line 1: no column {' nor '.join(lacking)}; a face box needs {', '.join(BOX)}")


def _hint(column: str) -> str:
    """Return the name of an unknown column, with similar known ones."""
    name = column.partition(":")[2]
    known = [*COLUMNS, *(f"{form}{name}" if form.endswith(":") else form for form in FORMS)]
    hint = did_you_mean(column.lower(), known, n=1)
    return f"column {shown(column)}" + (f" ({hint})" if hint else "")


def _check_trained(rows: Sequence[Row], train: FaceDataset, other: FaceDataset) -> None:
    """Raise a DataError for a class of another split that has no training row."""
    strange = ~np.isin(other.targets, train.targets)
    if strange.any():
        row = rows[other.rows[strange.argmax()]]
        raise DataError(
            f"{row.where}: class {shown(row.cells['label'])} in {other.split}, but no row of train has it; "
            "add some, or give other splits in a column split"
        )


def _images(path: Path, rows: Sequence[Row], boxes: npt.NDArray[np.int64] | None) -> ImageFiles:
    """Return the images of all rows, one per row."""
    names = [Path(row.text("file")).as_posix() for row in rows]
    absent = [index for index, name in enumerate(names) if not _is_file(path.parent / name)]
    if absent:
        more = f" ({len(absent):,} of the files are missing)" if len(absent) > 1 else ""
        raise DataError(f"{rows[absent[0]].where}: there is no file {shown(str(path.parent / names[absent[0]]))}{more}")
    first: dict[tuple[str, ...], Row] = {}
    for index, (row, name) in enumerate(zip(rows, names, strict=True)):
        box = () if boxes is None else tuple(map(str, boxes[index]))
        if (other := first.setdefault((_place(path, name), *box), row)) is not row:
            raise DataError(f"{row.where}: {shown(name)} is already in line {other.line}; remove one of the two rows")
    return ImageFiles(path.parent, tuple(names))


def _is_file(path: Path) -> bool:
    """Whether there is a file, also for names that no file can have."""
    try:
        return path.is_file()
    except OSError:
        return False


def _place(path: Path, name: str) -> str:
    """Return the normalised path of an image."""
    return os.path.normpath(path.parent.absolute() / name)


def _boxes(rows: Sequence[Row]) -> npt.NDArray[np.int64]:
    """Return the face boxes of all rows, int64 (N, 4); a width of 0 means the whole image."""
    boxes = np.zeros((len(rows), 4), dtype=np.int64)
    for index, row in enumerate(rows):
        if not any(row.cells[column] for column in BOX):
            continue
        x, y, width, height = (row.number(column) for column in BOX)
        if max(abs(x), abs(y), width, height) > _LARGEST:
            raise DataError(f"{row.where}: a face box of more than {_LARGEST:,} pixels; expected {', '.join(BOX)}")
        if round(width) < 1 or round(height) < 1 or round(x) + round(width) < 1 or round(y) + round(height) < 1:
            cells = ", ".join(f"{column} {row.cells[column]}" for column in BOX)
            raise DataError(f"{row.where}: the face box ({cells}) contains no pixel of the image; correct it")
        boxes[index] = [round(value) for value in (x, y, width, height)]
    return boxes


def _group_numbers(rows: Sequence[Row], targets: npt.NDArray[np.generic]) -> Rows:
    """Return the number of each row's group, int64 (N,), in the order of the groups' names.

    Args:
        rows: Rows with a column ``group``.
        targets: (N,) or (N, n_out), the target of each.
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
                f"{row.where}: the rows of a group are evaluated as one, but this row's {differs[0]} differs from "
                f"line {rows[other].line} in the same group {shown(row.cells['group'])}"
            )
    return np.unique([row.cells["group"] for row in rows], return_inverse=True)[1].astype(np.int64)


def _split_rows(
    path: Path, rows: Sequence[Row], classes: npt.NDArray[np.int64] | None
) -> tuple[dict[Split, Rows], str]:
    """Return the rows of each split, int64, each ascending, and the protocol in words.

    Args:
        path: The csv file, for errors.
        rows: Its rows; with a column ``split``, only a validation split without rows is carved.
        classes: int64 (N,), class of each row; None if the task has no classes.
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
            f"{path}: no row is in split {lacking[0]}; add some, or remove the column split so that splits are made"
        )
    if len(found["validation"]):
        return found, "splits as given"
    found["train"], found["validation"] = carve("validation", found["train"])
    return found, f"train and test as given; validation (10 %) carved from train {how}"


def _cell(row: Row, column: str) -> str:
    """Return a cell; a split by its usual name."""
    text = row.text(column)
    if column != "split":
        return text
    if (split := split_called(text)) is None:
        raise DataError(f"{row.where}: {UnknownNameError('split', text[:40], SPLITS)}")
    return split
