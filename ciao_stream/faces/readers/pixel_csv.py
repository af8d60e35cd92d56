"""FER2013's csv files, read lazily: one pass finds every row, and a face is parsed when it is read.

Layout [1]: ``emotion`` (0 to 6), ``pixels`` (2,304 integers from 0 to 255, blank-separated, 48x48 row by row) and
``Usage``. ``icml_face_data.csv`` of the same competition has the columns in another order, with blanks before their
names. FER and FER+ share one source per split, so its faces are encoded once.

[1] Goodfellow et al., "Challenges in representation learning", ICONIP 2013.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ciao_stream.exceptions import DataError, UnknownNameError, reading
from ciao_stream.faces.dataset import SPLITS, Image, Split
from ciao_stream.faces.readers.csv_lines import Line, cell_text, find_columns, read_lines, split_cells, strip_cell

SIDE = 48
"""Height and width of every face, in pixels."""

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""The class names behind the numbers in the column ``emotion``."""

USAGES: dict[str, Split] = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
"""The competition's names of the splits: train on Training, choose on PublicTest, report PrivateTest."""


@dataclass(frozen=True, eq=False)
class PixelCsv:
    """The faces of one split of a FER2013 csv, an :class:`~ciao_stream.faces.dataset.ImageSource`; picklable.

    Args:
        path: The csv file.
        fingerprint: Digest of the file's rows and the split.
        lines: int64 (N,), line of each face in the file, from 1.
        offsets: int64 (N,), byte offset of each face's pixels.
        lengths: int64 (N,), their number of bytes.
    """

    path: Path
    fingerprint: str
    lines: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of faces."""
        return len(self.lines)

    def name(self, index: int) -> str:
        """Return the file and line of a face."""
        return f"{self.path}, line {self.lines[index]}"

    def read(self, index: int) -> Image:
        """Parse one face.

        Returns:
            uint8 (48, 48), gray.

        Raises:
            DataError: The file cannot be read, or the row does not have 2,304 integers from 0 to 255.
        """
        with reading(self.path), self.path.open("rb", buffering=0) as file:
            raw = os.pread(file.fileno(), int(self.lengths[index]), int(self.offsets[index]))
        text = strip_cell(raw)
        if not text.translate(None, b"0123456789 \t"):
            values = np.fromstring(text, dtype=np.int64, sep=" ")
            if len(values) == SIDE * SIDE and values.max() <= 255:
                return values.astype(np.uint8).reshape(SIDE, SIDE)
        raise DataError(f"{self.name(index)}: {_pixel_problem(text)}")


@dataclass(frozen=True, eq=False)
class PixelTable:
    """The position, class and split of each row of a FER2013 csv; no pixel is parsed.

    Args:
        path: The csv file.
        digest: SHA-256 of the file's rows.
        emotions: int64 (N,), index into :data:`CLASSES`.
        splits: int64 (N,), index into :data:`ciao_stream.faces.dataset.SPLITS`.
        lines: int64 (N,), line in the file, from 1.
        offsets: int64 (N,), byte offset of the pixels.
        lengths: int64 (N,), their number of bytes.
    """

    path: Path
    digest: str
    emotions: npt.NDArray[np.int64]
    splits: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]

    def rows(self, split: Split) -> npt.NDArray[np.int64]:
        """Return the table's rows of one split, int64, ascending: row ``i`` of them is image ``i`` of its source."""
        return np.flatnonzero(self.splits == SPLITS.index(split))

    def source(self, split: Split) -> PixelCsv:
        """Return the faces of one split; the same file and split always give the same fingerprint."""
        rows = self.rows(split)
        fingerprint = hashlib.sha256(f"{self.digest}/{split}".encode()).hexdigest()
        return PixelCsv(self.path, fingerprint, self.lines[rows], self.offsets[rows], self.lengths[rows])


def scan(path: Path) -> PixelTable:
    """Find every row of a FER2013 csv in one pass, with one line in memory at a time.

    Raises:
        DataError: The file is missing, empty, truncated or not text; a column or a split is missing; or a row has a
            wrong label, Usage or number of pixels. The message names the file and the line.
    """
    lines = read_lines(path)
    columns, width = find_columns(next(lines, None), ("emotion", "pixels", "Usage"), path)
    digest = hashlib.sha256()
    table: list[tuple[int, int, int, int, int]] = []
    for line in lines:
        digest.update(line.raw)
        cells = split_cells(line, width)
        emotion, pixels, usage = (cells[column] for column in columns)
        split = read_usage(usage, line)
        _check_count(pixels, line)
        offset = line.offset + sum(len(cell) + 1 for cell in cells[: columns[1]])
        table.append((_read_emotion(emotion, line), split, line.number, offset, len(pixels)))
    by_column = np.array(table, dtype=np.int64).reshape(-1, 5).T.copy()
    for usage_name, split_name in USAGES.items():
        if not (by_column[1] == SPLITS.index(split_name)).any():
            raise DataError(
                f"{path}: no row has the Usage {usage_name} ({split_name}); expected rows of {', '.join(USAGES)}: "
                "get the full file"
            )
    return PixelTable(path, digest.hexdigest(), *by_column)


def read_usage(cell: bytes, line: Line) -> int:
    """Return the split of a ``Usage`` field, as an index into :data:`ciao_stream.faces.dataset.SPLITS`.

    Raises:
        DataError: It is not a known Usage.
    """
    name = cell_text(cell, line)
    if name not in USAGES:
        raise DataError(f"{line.where}: {UnknownNameError('Usage', name, USAGES)}")
    return SPLITS.index(USAGES[name])


def _read_emotion(cell: bytes, line: Line) -> int:
    """Return the class of an ``emotion`` field."""
    text = cell_text(cell, line)
    if text not in _DIGITS:
        expected = ", ".join(f"{number} {name}" for number, name in enumerate(CLASSES))
        raise DataError(f"{line.where}: emotion {text[:20]!r}; expected one of {expected}")
    return _DIGITS[text]


_DIGITS = {str(number): number for number in range(len(CLASSES))}


def _check_count(pixels: bytes, line: Line) -> None:
    """Raise DataError unless the field has 2,304 words; the common case only counts blanks."""
    if pixels.count(b" ") != SIDE * SIDE - 1 and len(strip_cell(pixels).split()) != SIDE * SIDE:
        raise DataError(f"{line.where}: {_pixel_problem(strip_cell(pixels))}")


def _pixel_problem(text: bytes) -> str:
    """Return the error in the text of a face."""
    words = text.decode(errors="replace").split()
    for place, word in enumerate(words, start=1):
        if not (word.isascii() and word.isdecimal()) or int(word[:9]) > 255:
            return f"pixel {place} is {word[:20]!r}; expected an integer from 0 to 255"
    return f"{len(words):,} pixels; expected {SIDE * SIDE:,} ({SIDE}x{SIDE}): the file may be cut short, get it again"
