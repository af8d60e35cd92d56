"""FER+'s votes file, ``fer2013new.csv``: ten annotators' votes for each face of FER2013, row i for row i."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.protocols.votes import COLUMNS
from ciao_stream.exceptions import DataError
from ciao_stream.faces.dataset import SPLITS
from ciao_stream.faces.readers.csv_lines import Line, cell_text, find_columns, read_lines, split_cells
from ciao_stream.faces.readers.pixel_csv import PixelTable, read_usage


@dataclass(frozen=True, eq=False)
class VoteTable:
    """The rows of a votes file.

    Args:
        path: The csv file.
        splits: int64 (N,), index into :data:`ciao_stream.faces.dataset.SPLITS`.
        named: bool (N,), whether the row names an image; FER+ leaves out the others (173, none of them a face).
        votes: int64 (N, 10), at least 0, in the order of :data:`benchmarks.protocols.votes.COLUMNS`.
        lines: int64 (N,), line in the file, from 1.
    """

    path: Path
    splits: npt.NDArray[np.int64]
    named: npt.NDArray[np.bool_]
    votes: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]


def read_votes(path: Path) -> VoteTable:
    """Read a votes file; columns are found by name.

    Raises:
        DataError: The file is missing, empty, cut short or not text, a column is missing, or a row has an unknown
            Usage, a vote that is no integer from 0 up, or no votes. The message names the file and the line.
    """
    lines = read_lines(path)
    columns, width = find_columns(next(lines, None), ("Usage", "Image name", *COLUMNS), path)
    splits: list[int] = []
    named: list[bool] = []
    votes: list[list[int]] = []
    numbers: list[int] = []
    for line in lines:
        cells = split_cells(line, width)
        usage, name, *counts = (cells[column] for column in columns)
        splits.append(read_usage(usage, line))
        named.append(cell_text(name, line) != "")
        votes.append(_read_counts(counts, line))
        numbers.append(line.number)
    return VoteTable(
        path,
        np.array(splits, dtype=np.int64),
        np.array(named, dtype=bool),
        np.array(votes, dtype=np.int64).reshape(-1, len(COLUMNS)),
        np.array(numbers, dtype=np.int64),
    )


def check_aligned(votes: VoteTable, faces: PixelTable) -> None:
    """Check that row i of the votes belongs to row i of the faces, as far as the files can tell.

    Raises:
        DataError: The files differ in the number of rows, or in the Usage of a row.
    """
    if len(votes.lines) != len(faces.lines):
        raise DataError(
            f"{votes.path} has {len(votes.lines):,} rows but {faces.path} has {len(faces.lines):,}: "
            "row i of one belongs to row i of the other; get both files in full"
        )
    if (differ := votes.splits != faces.splits).any():
        row = int(differ.argmax())
        raise DataError(
            f"{votes.path}, line {votes.lines[row]}: Usage of {SPLITS[votes.splits[row]]} but of "
            f"{SPLITS[faces.splits[row]]} in {faces.path}, line {faces.lines[row]}: "
            "the files are not in the same order; get both again"
        )


def _read_counts(cells: list[bytes], line: Line) -> list[int]:
    """Return the votes of one row."""
    counts = []
    for name, cell in zip(COLUMNS, cells, strict=True):
        text = cell_text(cell, line)
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            raise DataError(f"{line.where}: {text[:20]!r} votes for {name}; expected an integer from 0 up")
        counts.append(int(text))
    if not any(counts):
        raise DataError(f"{line.where}: no votes (all {len(COLUMNS)} columns are 0); get the file again")
    return counts
