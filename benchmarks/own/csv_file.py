"""A user's own faces in a csv file: one row per face, targets of any of the four kinds.

========================================  =========================================================================
column                                    meaning
========================================  =========================================================================
``file``                                  the image, relative to the csv file's folder, or absolute
``split`` (may be left out)               ``train``, ``validation`` (``val``, ``valid``) or ``test``
``subject`` (may be left out)             who it shows
``group`` (may be left out)               any text: the rows of one group (the frames of a clip) are judged as one
``x``, ``y``, ``width``, ``height``       where in the image the face is, in pixels; all four columns, or none; a row
                                          that leaves all four empty takes the whole image
``label``                                 categorical: the class's name
``votes:NAME``, one per class             votes: how many annotators saw this class, or their share
``value:NAME``, one per dimension         dimensional: a number in [-1, 1]
``has:NAME``, one per label               multilabel: 0 or 1
========================================  =========================================================================

Targets stand in exactly one of the last four forms. Classes and labels that all bear known names of emotions are
brought into canonical order; otherwise the names of ``label`` are sorted, and those of columns keep their order.

Without ``split``, a fifth becomes test (seed 1) and a tenth of the rest validation (seed 0); with it, but without a
validation row, a tenth of train becomes validation. What is carved are whole subjects where there are subjects; else
images or whole groups, the same share of each class. Images without boxes are taken for faces: crop them first.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.own.names import task_spec
from benchmarks.own.splits import group_numbers, split_rows
from benchmarks.own.table import Row, read_table, shown
from benchmarks.own.targets import FORMS, FORMS_TEXT, read_targets, target_form
from ciao_stream.exceptions import DataError, MissingDataError, did_you_mean
from ciao_stream.faces.dataset import SPLITS, FaceDataset, ImageSource, TaskData
from ciao_stream.faces.readers.cropped import Cropped
from ciao_stream.faces.readers.image_files import ImageFiles

LAYOUT = "a csv file with a column file, and targets as " + FORMS_TEXT
"""What is expected of the file."""

BOX = ("x", "y", "width", "height")
"""Columns of the face box: upper left corner and size in pixels."""

COLUMNS = ("file", "split", "subject", "group", *BOX)
"""Columns besides those of targets."""

_LARGEST = 1_000_000
"""Pixels; a coordinate beyond it is none."""


def load(path: Path) -> TaskData:
    """Load a csv file as a task that is named after it; no image is decoded.

    Args:
        path: The csv file, see the module.

    Raises:
        DataError: There is no such file, its name cannot name a task, a row or a column is not as described, or an
            image is not there.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder; a folder of images is given as folder:{path}")
    if not path.exists():
        raise MissingDataError(f"there is no file {path}; expected {LAYOUT}")
    columns, rows = read_table(path)
    _check_columns(path, columns)
    targets = read_targets(path, columns, rows)
    spec = task_spec(path, path.stem, targets.kind, targets.labels)
    boxes = _boxes(rows) if "width" in columns else None
    images = _images(path, rows, boxes)
    source: ImageSource = images if boxes is None else Cropped(images, boxes)
    groups = group_numbers(rows, targets.values) if "group" in columns else None
    subjects = np.array([row.text("subject") for row in rows]) if "subject" in columns else None
    everything = np.arange(len(rows))
    faces = FaceDataset(spec, "train", source, everything, targets.values, "real", groups=groups, subjects=subjects)
    splits, protocol = split_rows(path, rows, faces.classes() if spec.has_classes else None)
    train, validation, test = (replace(faces.take(splits[split]), split=split) for split in SPLITS)
    if spec.kind == "categorical":
        for split in (validation, test):
            _check_learnt(rows, train, split)
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
    """Return an unknown column's name, with the known ones that are like it."""
    name = column.partition(":")[2]
    known = [*COLUMNS, *(f"{form}{name}" if form.endswith(":") else form for form in FORMS)]
    hint = did_you_mean(column.lower(), known, n=1)
    return f"column {shown(column)}" + (f" ({hint})" if hint else "")


def _check_learnt(rows: Sequence[Row], train: FaceDataset, judged: FaceDataset) -> None:
    """Raise a DataError for a class that is judged without being learned."""
    strange = ~np.isin(judged.targets, train.targets)
    if strange.any():
        row = rows[judged.rows[strange.argmax()]]
        raise DataError(
            f"{row.where}: class {shown(row.cells['label'])} in {judged.split}, but no row of train has it; "
            "add some, or give other splits in a column split"
        )


def _images(path: Path, rows: Sequence[Row], boxes: npt.NDArray[np.int64] | None) -> ImageFiles:
    """Return the images of all rows, one per row.

    Raises:
        DataError: An image is not there, or stands in two rows (with the same box).
    """
    names = [Path(row.text("file")).as_posix() for row in rows]
    absent = [index for index, name in enumerate(names) if not _is_file(path.parent / name)]
    if absent:
        more = f" ({len(absent):,} files of the rows are not there)" if len(absent) > 1 else ""
        raise DataError(f"{rows[absent[0]].where}: there is no file {shown(str(path.parent / names[absent[0]]))}{more}")
    first: dict[tuple[str, ...], Row] = {}
    for index, (row, name) in enumerate(zip(rows, names, strict=True)):
        box = () if boxes is None else tuple(map(str, boxes[index]))
        if (other := first.setdefault((_place(path, name), *box), row)) is not row:
            raise DataError(
                f"{row.where}: {shown(name)} stands in line {other.line} already; remove one of the two rows"
            )
    return ImageFiles(path.parent, tuple(names))


def _is_file(path: Path) -> bool:
    """Whether there is a file; a name that no file can have is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def _place(path: Path, name: str) -> str:
    """Return where an image is, spelled in one way."""
    return os.path.normpath(path.parent.absolute() / name)


def _boxes(rows: Sequence[Row]) -> npt.NDArray[np.int64]:
    """Return the face boxes of all rows, int64 (N, 4); a width of 0 stands for the whole image."""
    boxes = np.zeros((len(rows), 4), dtype=np.int64)
    for index, row in enumerate(rows):
        if not any(row.cells[column] for column in BOX):
            continue
        x, y, width, height = (row.number(column) for column in BOX)
        if max(abs(x), abs(y), width, height) > _LARGEST:
            raise DataError(f"{row.where}: a face box of more than {_LARGEST:,} pixels; expected {', '.join(BOX)}")
        if round(width) < 1 or round(height) < 1 or round(x) + round(width) < 1 or round(y) + round(height) < 1:
            cells = ", ".join(f"{column} {row.cells[column]}" for column in BOX)
            raise DataError(f"{row.where}: the face box ({cells}) holds no pixel of the image; correct it")
        boxes[index] = [round(value) for value in (x, y, width, height)]
    return boxes
