"""The rows of a user's csv file and their targets, with errors that name the line."""

from __future__ import annotations

import csv
import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.own.names import as_emotions, class_called, class_labels
from ciao_stream.exceptions import DataError
from ciao_stream.faces.readers.csv_lines import MAX_LINE
from ciao_stream.faces.task import EMOTIONS, Kind

FORMS: dict[str, Kind] = {"label": "categorical", "votes:": "votes", "value:": "dimensional", "has:": "multilabel"}
"""The column, or the prefix of the columns, with targets of each kind."""

FORMS_TEXT = (
    "a column label (classes), columns votes:NAME (votes per class), columns value:NAME (dimensions in [-1, 1]) "
    "or columns has:NAME (labels, 0 or 1)"
)

SHOWN = 200
"""Characters of a cell that an error shows."""


class Row(NamedTuple):
    """One row: cells by column, without blanks around them."""

    path: Path
    line: int
    cells: dict[str, str]

    @property
    def where(self) -> str:
        """File and line, for errors."""
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
            DataError: It is not a finite number.
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
    """Return the text of a cell for errors: quoted and truncated."""
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "...")


def read_table(path: Path) -> tuple[list[str], list[Row]]:
    """Read a csv file with a header: UTF-8, with or without a byte order mark, commas between the cells.

    Args:
        path: The file.

    Returns:
        Names of the columns, without blanks around them, and the rows; empty lines are ignored.

    Raises:
        DataError: The file cannot be read, is not csv, has a column without a name or given twice, a row with more or
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
        raise DataError(f"{where}: the column {shown(twice[0])} is given twice; remove one")
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


@dataclass(frozen=True, eq=False)
class Targets:
    """Targets of all rows.

    Args:
        kind: Their kind.
        labels: Names of the outputs, in order.
        values: The targets, in the layout of :data:`ciao_stream.faces.task.Kind`.
    """

    kind: Kind
    labels: tuple[str, ...]
    values: npt.NDArray[np.int64] | npt.NDArray[np.float32]


def target_form(column: str) -> str | None:
    """Return the entry of :data:`FORMS` for a column, None if it has no targets.

    >>> target_form("votes:joy"), target_form("file")
    ('votes:', None)
    """
    return next((form for form in FORMS if column == form or (form.endswith(":") and column.startswith(form))), None)


def read_targets(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> Targets:
    """Read the targets of all rows.

    Args:
        path: The csv file, for errors.
        columns: Its columns.
        rows: Its rows.

    Raises:
        DataError: There are no targets, or targets of several forms; a name is missing or given twice; or a cell is
            empty or out of range.
    """
    forms = list(dict.fromkeys(form for column in columns if (form := target_form(column))))
    if len(forms) != 1:
        found = f"{', '.join(forms[:-1])} and {forms[-1]}" if forms else "none"
        raise DataError(f"{path}, line 1: expected targets in one form, {FORMS_TEXT}; found {found}")
    form = forms[0]
    if form == "label":
        return _classes(path, rows)
    of_form = [column for column in columns if target_form(column) == form]
    names = [column[len(form) :].strip() for column in of_form]
    if "" in names:
        raise DataError(f"{path}, line 1: the column {of_form[names.index('')]!r} has no name; expected {form}NAME")
    emotions = None if form == "value:" else as_emotions(names)
    labels = emotions or names
    if twice := [index for index, label in enumerate(labels) if label in labels[:index]]:
        first, second = of_form[labels.index(labels[twice[0]])], of_form[twice[0]]
        raise DataError(f"{path}, line 1: the columns {first} and {second} are both {labels[twice[0]]}; remove one")
    if emotions:
        order = sorted(range(len(labels)), key=lambda index: EMOTIONS.index(labels[index]))
        of_form, labels = [of_form[index] for index in order], [labels[index] for index in order]
    read = {"votes:": _votes, "value:": _values, "has:": _present}[form]
    values = np.array([read(row, of_form) for row in rows], dtype=np.float64)
    return Targets(FORMS[form], tuple(labels), values.astype(np.float32))


def _classes(path: Path, rows: Sequence[Row]) -> Targets:
    """Read the column ``label``."""
    names = [row.text("label") for row in rows]
    try:
        labels = class_labels(list(dict.fromkeys(names)))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    index = {name: labels.index(class_called(name, labels)) for name in dict.fromkeys(names)}
    return Targets("categorical", labels, np.array([index[name] for name in names], dtype=np.int64))


def _votes(row: Row, columns: Sequence[str]) -> list[float]:
    """Return the share of votes in each column."""
    votes = [row.number(column) for column in columns]
    for column, vote in zip(columns, votes, strict=True):
        if not 0 <= vote < 1e9:
            raise DataError(
                f"{row.where}: {column} is {shown(row.cells[column])}; expected a number of votes, 0 or more"
            )
    if not (total := sum(votes)):
        raise DataError(f"{row.where}: no votes in any column; remove the row, or fill the votes in")
    return [vote / total for vote in votes]


def _values(row: Row, columns: Sequence[str]) -> list[float]:
    """Return the values of the dimensions."""
    values = [row.number(column) for column in columns]
    for column, value in zip(columns, values, strict=True):
        if not -1 <= value <= 1:
            raise DataError(
                f"{row.where}: {column} is {shown(row.cells[column])}; expected -1 to 1, so rescale the column"
            )
    return values


def _present(row: Row, columns: Sequence[str]) -> list[float]:
    """Return which labels are present."""
    values = [row.number(column) for column in columns]
    for column, value in zip(columns, values, strict=True):
        if value not in (0, 1):
            raise DataError(f"{row.where}: {column} is {shown(row.cells[column])}; expected 0 or 1")
    return values
