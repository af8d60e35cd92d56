"""``trials.jsonl``: one line for every trial that ended, on disk before the search continues.

A search that is killed loses only the trials that are running. Fields of a line:

=============  ======================================================================================================
``task``       name of the task
``number``     number of the trial within its task, from 0
``status``     ``finished``; ``stopped`` early; ``failed``
``config``     the settings that the space decided, by name as in :meth:`ciao_stream.worlds.settings.Settings.changed`
``point``      what the search drew, by dimension
``settings``   all settings of the trial, as :meth:`ciao_stream.worlds.settings.Settings.to_json` gives them
``score``      validation score after the last epoch that it trained: mean over seeds and folds; null if it failed
``values``     of each seed and fold, seeds in the outer order
``curve``      score after each epoch
``seconds``    ``total`` in the worker; of it ``load`` (of a worker's first trial: encoder and features too), ``train``,
               ``judge``; also ``wait``, from the end of the worker's trial before
``worker``     ``HOST:PROCESS``
``ended``      seconds since 1970
``error``      null, or in one line why it failed
``at_fault``   whether it failed because of its own settings, which then count as bad
=============  ======================================================================================================
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ciao_stream.exceptions import CiaoError

TRIALS = "trials.jsonl"

Status = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True)
class TrialRow:
    """One trial that ended; the fields are those of the file."""

    task: str
    number: int
    status: Status
    config: dict[str, Any]
    point: dict[str, int | float]
    settings: dict[str, Any]
    score: float | None
    values: list[float] = field(default_factory=list)
    curve: list[float] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    worker: str | None = None
    ended: float = 0.0
    error: str | None = None
    at_fault: bool = False


@dataclass
class SearchState:
    """Where the search of one task stands.

    Args:
        task: Its name.
        metric: What is maximised.
        trials: How many trials there will be.
        ended: Those that ended.
        running: By number, epochs trained and the last score, None before the first.
    """

    task: str
    metric: str
    trials: int
    ended: list[TrialRow]
    running: dict[int, tuple[int, float | None]] = field(default_factory=dict)


Watch = Callable[[SearchState], AbstractContextManager[Callable[[], None]]]
"""Shows a search while it runs; what it yields is called after every change of the state."""


def unwatched(state: SearchState) -> AbstractContextManager[Callable[[], None]]:  # noqa: ARG001
    """Show nothing: the default."""
    return nullcontext(lambda: None)


class Journal:
    """The trials of a search, in the order in which they ended.

    Args:
        folder: The search's folder.

    Raises:
        CiaoError: The file is damaged, other than by a kill that cut its last line short.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / TRIALS
        self.rows = read_trials(self.path) if self.path.exists() else []
        _cut_torn_line(self.path)

    def add(self, row: TrialRow) -> None:
        """Record a trial; when this returns, it is on disk.

        Raises:
            CiaoError: The disk is full, or the file cannot be written.
        """
        line = json.dumps(asdict(row), allow_nan=False) + "\n"
        try:
            with self.path.open("ab") as file:
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise CiaoError(f"cannot write {self.path}: {error.strerror}; free some space and --resume") from error
        self.rows.append(row)

    def of_task(self, task: str) -> list[TrialRow]:
        """Return the trials of one task."""
        return [row for row in self.rows if row.task == task]


def read_trials(path: Path) -> list[TrialRow]:
    """Read a journal; an incomplete last line is not a trial.

    Raises:
        CiaoError: The file cannot be read, or is damaged.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise CiaoError(f"cannot read {path}: {error}") from error
    rows = []
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not line.endswith("\n"):
            break
        try:
            rows.append(TrialRow(**json.loads(line)))
        except (TypeError, ValueError) as error:
            raise CiaoError(f"{path}, line {number}, is damaged: delete the line to run its trial again") from error
    return rows


def _cut_torn_line(path: Path) -> None:
    """Remove an incomplete last line."""
    if not path.exists():
        return
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        os.truncate(path, data.rfind(b"\n") + 1)


def best(rows: list[TrialRow]) -> TrialRow | None:
    """Return the finished trial with the highest score, the earliest of equals; None if none has finished."""
    finished = [row for row in rows if row.status == "finished" and row.score is not None]
    return max(finished, key=lambda row: (row.score, -row.number), default=None)
