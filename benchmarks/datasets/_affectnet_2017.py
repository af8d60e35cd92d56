"""AffectNet as released in 2017 [1]: csv lists of photos, with a box around the face in each.

``training.csv`` has 414,799 rows and ``validation.csv`` 5,500, in some copies without a header: path of the photo,
face box (x, y, width, height), 68 landmarks, expression, valence, arousal. Some boxes are ``NULL``. A box's x runs
along the columns: ``image[y : y + height, x : x + width]``; some published code swaps them.

[1] Mollahosseini, Hasani, Mahoor, "AffectNet", IEEE Transactions on Affective Computing 10(1), 2019.
"""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ciao_stream.exceptions import DataError
from ciao_stream.faces.readers.csv_lines import Line, cell_text, find_columns, read_lines, split_cells, strip_cell
from ciao_stream.faces.readers.folders import find
from ciao_stream.faces.readers.image_files import Cropped, ImageFiles

COLUMNS = (
    "subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "facial_landmarks", "expression",
    "valence", "arousal",
)  # fmt: skip
"""The columns of both lists, in the order of a list without a header."""

LIST_FOLDERS = ("Manually_Annotated_file_lists", ".")
"""Where the lists can be in the data set's folder."""

IMAGE_FOLDERS = ("Manually_Annotated_Images", "Manually_Annotated/Manually_Annotated_Images")
"""Where the photos can be in the data set's folder."""

FARTHEST = 1 << 20
"""Pixels; boxes with larger coordinates are ignored."""


@dataclass(frozen=True, eq=False)
class FaceList:
    """The rows of a list that have a face box.

    Args:
        path: The csv file.
        images: The photos, cropped to the boxes.
        names: Path of each photo, relative to their folder; unique.
        expressions: float64 (N,), as in the file.
        values: float64 (N, 2), arousal and valence, as in the file.
        lines: int64 (N,), line of each row in the file, from 1.
        dropped: How many rows were dropped, by reason; other values in a row without a face box are not checked.
    """

    path: Path
    images: Cropped
    names: tuple[str, ...]
    expressions: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    lines: npt.NDArray[np.int64]
    dropped: dict[str, int]

    def where(self, row: int, column: str) -> str:
        """Return the file and line of a value, for errors."""
        return f"{self.path}, line {self.lines[row]}: {column}"


def read_2017(folder: Path) -> tuple[FaceList, FaceList] | None:
    """Read the training and the validation list; no photo is opened.

    Args:
        folder: The data set's folder.

    Returns:
        Both lists; None if there is neither.

    Raises:
        DataError: One list or the photos are missing, or a list is damaged.
    """
    lists = {
        name: find(folder, *(f"{place}/{name}" for place in LIST_FOLDERS))
        for name in ("training.csv", "validation.csv")
    }
    if not any(lists.values()):
        return None
    images = find(folder, *IMAGE_FOLDERS)
    if images is None:
        raise DataError(f"{folder}: no photos next to the csv lists; expected a folder {' or '.join(IMAGE_FOLDERS)}")
    training, validation = (_read_list(path, images, folder, name) for name, path in lists.items())
    return training, validation


def _read_list(path: Path | None, images: Path, folder: Path, name: str) -> FaceList:
    """Read one list in one pass, with one line in memory at a time."""
    if path is None:
        raise DataError(f"{folder}: no {name} next to the other csv list; expected it in {LIST_FOLDERS[0]}")
    rows, columns, width = _rows(path)
    names: dict[str, None] = {}
    numbers, boxes, line_numbers, dropped = array("d"), array("q"), array("q"), Counter[str]()
    for line in rows:
        cells = split_cells(line, width)
        photo, x, y, box_width, box_height, _, *labels = (cells[column] for column in columns)
        box = _box((x, y, box_width, box_height))
        if box is None:
            dropped["no face box (NULL)"] += 1
        elif box[2] <= 0 or box[3] <= 0:
            dropped["empty face box"] += 1
        elif (photo_name := _photo_name(photo, line)) in names:
            dropped["photo listed before"] += 1
        else:
            names[photo_name] = None
            boxes.extend(box)
            numbers.extend([_number(cell, line, column) for cell, column in zip(labels, COLUMNS[6:], strict=True)])
            line_numbers.append(line.number)
    if not names:
        raise DataError(f"{path}: no row with a face box; expected rows of {', '.join(COLUMNS)}: get the file again")
    _check_there(images, tuple(names), path, line_numbers)
    table = np.array(numbers).reshape(-1, 3)
    return FaceList(
        path,
        Cropped(ImageFiles(images, tuple(names)), np.array(boxes, dtype=np.int64).reshape(-1, 4)),
        tuple(names),
        table[:, 0].copy(),
        table[:, [2, 1]],
        np.array(line_numbers, dtype=np.int64),
        dict(dropped),
    )


def _rows(path: Path) -> tuple[Iterator[Line], list[int], int]:
    """Return the lines below the header, the positions of :data:`COLUMNS`, and the number of columns.

    A first line that begins with a path (with a slash) is not a header.
    """
    lines = read_lines(path)
    first = next(lines, None)
    if first is None or b"/" not in first.raw.split(b",")[0]:
        columns, width = find_columns(first, COLUMNS, path)
        return lines, columns, width
    first = first._replace(raw=first.raw.removeprefix(b"\xef\xbb\xbf"))
    return chain([first], lines), list(range(len(COLUMNS))), len(COLUMNS)


def _box(cells: Sequence[bytes]) -> tuple[int, ...] | None:
    """Return a face box, None unless it is four integers."""
    try:
        box = tuple(int(strip_cell(cell)) for cell in cells)
    except ValueError:
        return None
    return box if max(map(abs, box)) < FARTHEST else None


def _photo_name(cell: bytes, line: Line) -> str:
    name = cell_text(cell, line)
    if not name or not name.isprintable():
        raise DataError(f"{line.where}: {COLUMNS[0]} {name[:40]!r}; expected the path of a photo")
    return name


def _number(cell: bytes, line: Line, column: str) -> float:
    try:
        return float(strip_cell(cell))
    except ValueError as error:
        text = strip_cell(cell).decode(errors="replace")
        raise DataError(f"{line.where}: {column} {text[:20]!r}; expected a number") from error


def _check_there(folder: Path, names: Sequence[str], path: Path, lines: Sequence[int]) -> None:
    """Raise DataError for missing photos; each folder is listed once, and no photo is opened."""
    listed: dict[str, frozenset[str]] = {}
    absent = []
    for row, name in enumerate(names):
        place, _, file = name.rpartition("/")
        if place not in listed:
            listed[place] = _files(folder / place)
        if file not in listed[place]:
            absent.append(row)
    if absent:
        more = f" (one of {len(absent):,} missing)" if len(absent) > 1 else ""
        first = absent[0]
        raise DataError(
            f"{path}, line {lines[first]}: there is no photo {names[first][:200]} in {folder}{more}; get all of them"
        )


def _files(folder: Path) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except OSError as error:
        raise DataError(f"{str(folder)[:300]}: cannot be read ({error.strerror or error})") from error
