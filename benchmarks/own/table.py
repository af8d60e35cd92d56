"""A csv file as a spreadsheet or a script wrote it: rows that know their line, and errors that name it."""

from __future__ import annotations

import csv
import math
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

from ciao_stream.exceptions import DataError
from ciao_stream.faces.readers.csv_lines import MAX_LINE

SHOWN = 200
"""Characters of a cell that an error shows."""


class Row(NamedTuple):
    """One row: cells by column, without blanks around them."""

    path: Path
    line: int
    cells: dict[str, str]

    @property
    def where(self) -> str:
        """File and line, as errors name them."""
        return f"{self.path}, line {self.line}"

    def text(self, column: str) -> str:
        """Return a cell.

        Raises:
            DataError: It is empty.
        """
        if not (cell := self.cells[column]):
            raise DataError(f"{self.where}: no {column}; fill the cell in, or remove the row")
        return cell

    def number(self, column: str) -> float:
        """Return a cell as a number.

        Raises:
            DataError: It is none, or not a finite one.
        """
        cell = self.text(column)
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or "_" in cell:
            raise DataError(f"{self.where}: {column} is {shown(cell)}; expected a number")
        return value


def shown(text: str) -> str:
    """Return a cell's text as errors show it: in quotes, and not too long."""
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "...")


def read_table(path: Path) -> tuple[list[str], list[Row]]:
    """Read a csv file with a header: UTF-8, with or without a byte order mark, commas between the cells.

    Args:
        path: The file.

    Returns:
        Names of the columns, without blanks around them, and the rows; empty lines are passed over.

    Raises:
        DataError: The file cannot be read, is no csv, has a column without a name or one twice, a row with more or
            fewer cells than the header, or no rows.
    """
    columns: list[str] = []
    rows: list[Row] = []
    lines = _text_lines(path)
    reader = csv.reader(lines, strict=True, skipinitialspace=True)
    try:
        for cells in reader:
            if not columns:
                columns = _header(f"{path}, line {reader.line_num}", cells)
                continue
            if not cells:
                continue
            row = Row(path, reader.line_num, dict(zip(columns, (cell.strip() for cell in cells), strict=False)))
            if len(cells) != len(columns):
                raise DataError(f"{row.where}: expected {len(columns)} cells but found {len(cells)}; correct the row")
            rows.append(row)
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not csv ({error}); save the file as csv again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    finally:
        lines.close()
    if not rows:
        raise DataError(f"{path}: {'no rows under the header' if columns else 'the file is empty'}")
    return columns, rows


def _header(where: str, cells: list[str]) -> list[str]:
    """Return the names of the columns."""
    columns = [cell.strip() for cell in cells]
    if not columns:
        raise DataError(f"{where}: empty; expected the names of the columns")
    for sign, what in ((";", "semicolons"), ("\t", "tabs")):
        if len(cells) == 1 and sign in cells[0]:
            raise DataError(f"{where}: the columns are separated by {what}; save the file with commas")
    if "" in columns:
        raise DataError(f"{where}: column {columns.index('') + 1} has no name; name it, or remove it")
    if twice := [name for index, name in enumerate(columns) if name in columns[:index]]:
        raise DataError(f"{where}: the column {shown(twice[0])} stands twice; remove one")
    return columns


def _text_lines(path: Path) -> Generator[str, None, None]:
    """Yield the lines of a file as text, with their ends; one at a time is in memory."""
    with path.open("rb") as file:
        number = 1
        while raw := file.readline(MAX_LINE):
            if len(raw) == MAX_LINE:
                raise DataError(f"{path}, line {number}: longer than {MAX_LINE} bytes; is this the csv file?")
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise DataError(f"{path}, line {number}: not UTF-8 text; save the file as a UTF-8 csv") from error
            if "\0" in text:
                raise DataError(f"{path}, line {number}: not text; save the file as a UTF-8 csv")
            yield text
            number += 1
