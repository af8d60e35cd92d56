"""A request to stop that is heard at once where that is safe, and after the entry in hand everywhere else."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType

SLICE_S = 0.1
"""Seconds after which a sleep looks for a request that came from another thread."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(BaseException):
    """Somebody asked to stop while nothing was done that must be finished."""


class Stop:
    """Whether somebody asked to stop."""

    def __init__(self) -> None:
        self.requested = False
        self.by_signal: int | None = None
        self._safe = False

    def request(self) -> None:
        """Ask to stop; also from another thread."""
        self.requested = True

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Take SIGTERM and Ctrl-C for a request in the block; for the main thread."""
        before = [(number, signal.signal(number, self._on_signal)) for number in SIGNALS]
        try:
            yield
        finally:
            for number, handler in before:
                signal.signal(number, handler)

    @contextlib.contextmanager
    def safe(self) -> Iterator[None]:
        """Let a signal end the block at once.

        Raises:
            Stopped: There is a request.
        """
        if self.requested:
            raise Stopped
        self._safe = True
        try:
            yield
        finally:
            self._safe = False

    def sleep(self, seconds: float) -> None:
        """Sleep.

        Raises:
            Stopped: There is a request.
        """
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            with self.safe():
                time.sleep(min(left, SLICE_S))

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self.requested, self.by_signal = True, number
        if self._safe:
            self._safe = False
            raise Stopped


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """End the block at once on SIGTERM; on Ctrl-C too, which is raised again. For the main thread.

    Raises:
        KeyboardInterrupt: It was Ctrl-C.
    """
    stop = Stop()
    with contextlib.suppress(Stopped), stop.on_signals(), stop.safe():
        yield
    if stop.by_signal == signal.SIGINT:
        raise KeyboardInterrupt
