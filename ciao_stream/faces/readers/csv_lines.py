"""Large csv files, read line by line, with byte offsets, and errors that name file and line.

Python's :mod:`csv` gives no byte offsets. The files read here have no comma and no line break inside a field, so lines
are split at commas; quotes and blanks around a field are stripped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ciao_stream.exceptions import DataError, reading

MAX_LINE = 1 << 16
"""Bytes. A row of 48x48 pixels takes at most 9,300; longer lines are refused, and never read as a whole."""

_BLANK_OR_QUOTE = b" \t\r\n\"'"


class Line(NamedTuple):
    """A line that is not blank."""

    path: Path
    number: int
    offset: int
    raw: bytes

    @property
    def where(self) -> str:
        """File and line, for errors."""
        return f"{self.path}, line {self.number}"


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a file that are not blank, with one in memory at a time.

    Raises:
        DataError: The file cannot be read, or a line is longer than :data:`MAX_LINE`.
    """
    with reading(path), path.open("rb") as file:
        number, offset = 1, 0
        while raw := file.readline(MAX_LINE):
            if len(raw) == MAX_LINE:
                raise DataError(f"{path}, line {number}: longer than {MAX_LINE} bytes; is this the csv file?")
            if raw.strip():
                yield Line(path, number, offset, raw)
            number, offset = number + 1, offset + len(raw)


def strip_cell(cell: bytes) -> bytes:
    """Return a field without the quotes and blanks around it."""
    return cell.strip(_BLANK_OR_QUOTE)


def cell_text(cell: bytes, line: Line) -> str:
    """Return a field as text.

    Raises:
        DataError: It is not UTF-8.
    """
    try:
        return strip_cell(cell).decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{line.where}: not UTF-8 text; save the file as a UTF-8 csv") from error


def find_columns(line: Line | None, wanted: Sequence[str], path: Path) -> tuple[list[int], int]:
    """Return the positions of the wanted columns in a header line, by stripped name, and the number of columns.

    Args:
        line: First line of the file, None if there is none.
        wanted: Column names.
        path: The file.

    Raises:
        DataError: The file is empty, the header is not text, or a column is missing; all missing ones are named.
    """
    if line is None:
        raise DataError(f"{path}: the file is empty; expected the columns {', '.join(wanted)}; get the file again")
    names = [cell_text(cell, line) for cell in line.raw.removeprefix(b"\xef\xbb\xbf").split(b",")]
    if missing := [name for name in wanted if name not in names]:
        found = ", ".join(name[:20] for name in names[:12])
        raise DataError(f"{line.where}: no column {' nor '.join(missing)}; expected {', '.join(wanted)}; found {found}")
    return [names.index(name) for name in wanted], len(names)


def split_cells(line: Line, columns: int) -> list[bytes]:
    """Split a line at its commas.

    Raises:
        DataError: The line does not have ``columns`` fields; a truncated file ends in such a line.
    """
    cells = line.raw.split(b",")
    if len(cells) != columns:
        hint = "the file may be cut short: get it again"
        raise DataError(f"{line.where}: expected {columns} columns but found {len(cells)}; {hint}")
    return cells
