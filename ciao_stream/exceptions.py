"""Errors in the caller's input.

Commands catch :class:`CiaoError`, print its one line on stderr and exit with status 2. Anything else is a bug.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os import PathLike


class CiaoError(ValueError):
    """Wrong usage or input. The message is one line: what was expected, what came, where, and what to do."""


class DataError(CiaoError):
    """A data set on disk is missing, incomplete or damaged."""


class MissingDataError(DataError):
    """All files of a data set are missing."""


class WorldError(CiaoError):
    """A world cannot be added, found, saved or loaded."""


class UnknownNameError(CiaoError, KeyError):
    """A task, strategy, encoder, world or setting of that name does not exist.

    >>> print(UnknownNameError("task", "afectnet", ["affectnet", "ferplus"]))
    unknown task 'afectnet': did you mean 'affectnet'? (known: affectnet, ferplus)
    """

    __str__ = ValueError.__str__  # a KeyError's would be quoted

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        known = list(known)
        hint, names = did_you_mean(str(name).lower(), known), ", ".join(known) or "none"
        super().__init__(f"unknown {what} {name!r}" + (f": {hint} (known: {names})" if hint else f"; known: {names}"))


def did_you_mean(name: str, known: Iterable[str], n: int = 2) -> str:
    """Return a question with at most ``n`` known names that are similar to this one; an empty text if none is.

    >>> did_you_mean("fir", ["fer", "jaffe"])
    "did you mean 'fer'?"
    """
    close = difflib.get_close_matches(name, list(known), n=n)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else ""


@contextmanager
def reading(path: PathLike[str]) -> Iterator[None]:
    """Turn an OSError in this block into a :class:`DataError` that names the file or folder."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
