"""The targets in a user's csv file: a ``label`` column, or columns ``votes:NAME``, ``value:NAME`` or ``has:NAME``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.own.names import as_emotions, class_called, class_labels
from benchmarks.own.table import Row, shown
from ciao_stream.exceptions import DataError
from ciao_stream.faces.task import EMOTIONS, Kind

FORMS: dict[str, Kind] = {"label": "categorical", "votes:": "votes", "value:": "dimensional", "has:": "multilabel"}
"""The column, or the beginning of the columns, that hold targets of each kind."""

FORMS_TEXT = (
    "a column label (classes), columns votes:NAME (votes per class), columns value:NAME (dimensions in [-1, 1]) "
    "or columns has:NAME (labels, 0 or 1)"
)


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
    """Return which of :data:`FORMS` a column belongs to, None where it holds no targets.

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
        DataError: There are targets of no form, or of several; a name is missing or stands twice; or a cell is empty
            or out of range.
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
        raise DataError(f"{path}, line 1: the column {of_form[names.index('')]!r} names nothing; expected {form}NAME")
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
