"""How the library reports progress: callers that want to show it pass an object of their own."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Bar(Protocol):
    """One piece of work that is under way."""

    def advance(self, n: float = 1, what: str | None = None) -> None:
        """Report ``n`` more units of work as done, and optionally what is done now."""
        ...

    def reach(self, done: float, what: str | None = None) -> None:
        """Report ``done`` units of work in all as done."""
        ...


class Progress(Protocol):
    """Shows, logs or ignores work that is under way."""

    def bar(self, what: str, total: float | None = None) -> AbstractContextManager[Bar]:
        """Begin a piece of work.

        Args:
            what: Short description, such as ``encode fer``.
            total: Units of work, None where unknown.
        """
        ...


class _SilentBar:
    def advance(self, n: float = 1, what: str | None = None) -> None:
        """Do nothing."""

    def reach(self, done: float, what: str | None = None) -> None:
        """Do nothing."""


class _Silent:
    def bar(self, what: str, total: float | None = None) -> AbstractContextManager[Bar]:  # noqa: ARG002
        """Return a bar that does nothing."""
        return nullcontext(_SilentBar())


SILENT: Progress = _Silent()
"""Does nothing: the default."""
