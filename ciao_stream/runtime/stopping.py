"""Requests to stop: obeyed at once where that is safe, otherwise when the caller next checks."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType

SLICE_S = 0.1
"""Seconds between checks for a request from another thread during a sleep."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(BaseException):
    """A request to stop arrived where it is safe to obey at once."""


class Stop:
    """A request to stop.

    Attributes:
        requested: Whether a stop was requested.
        by_signal: Number of the signal that requested it, or None.
    """

    def __init__(self) -> None:
        self.requested = False
        self.by_signal: int | None = None
        self._safe = False

    def request(self) -> None:
        """Request a stop; can be called from any thread."""
        self.requested = True

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Treat SIGTERM and Ctrl-C as requests in the block; main thread only."""
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
            Stopped: A stop was requested.
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
            Stopped: A stop was requested.
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
    """End the block at once on SIGTERM or Ctrl-C; main thread only.

    Raises:
        KeyboardInterrupt: It was Ctrl-C.
    """
    stop = Stop()
    with contextlib.suppress(Stopped), stop.on_signals(), stop.safe():
        yield
    if stop.by_signal == signal.SIGINT:
        raise KeyboardInterrupt
