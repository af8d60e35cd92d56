"""What commands show on a terminal; the library itself never prints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.status import Status

from ciao_stream.runtime.progress import Bar


class ConsoleProgress:
    """Shows progress on stderr: a bar for work of a known size, else a spinner that vanishes when the work is done.

    It is a :class:`~ciao_stream.runtime.progress.Progress`.

    Args:
        console: Where to show it; None for stderr.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._shown: Progress | None = None

    @contextmanager
    def bar(self, what: str, total: float | None = None) -> Iterator[Bar]:
        """See :meth:`ciao_stream.runtime.progress.Progress.bar`; bars that overlap are shown together."""
        if total is None and self._shown is None:
            with self.console.status(what) as status:
                yield _Spinner(status)
            return
        first = self._shown is None
        if self._shown is None:
            self._shown = _bars(self.console)
            self._shown.start()
        try:
            yield _Line(self._shown, self._shown.add_task(what, total=total))
        finally:
            if first:
                self._shown.stop()
                self._shown = None


class _Line:
    def __init__(self, shown: Progress, task: TaskID) -> None:
        self.shown, self.task = shown, task

    def advance(self, n: float = 1, what: str | None = None) -> None:
        self.shown.update(self.task, advance=n, description=what)

    def reach(self, done: float, what: str | None = None) -> None:
        self.shown.update(self.task, completed=done, description=what)


class _Spinner:
    def __init__(self, status: Status) -> None:
        self.status = status

    def advance(self, n: float = 1, what: str | None = None) -> None:  # noqa: ARG002
        self.reach(0, what)

    def reach(self, done: float, what: str | None = None) -> None:  # noqa: ARG002
        if what is not None:
            self.status.update(what)


def _bars(console: Console) -> Progress:
    text = TextColumn("{task.description}", markup=False)
    return Progress(
        text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(), console=console
    )
