"""The newest picture of something live: whoever takes pictures more slowly than they come sees no old ones."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

from ciao_stream.faces.dataset import Image
from ciao_stream.stream.sources import SourceFrame, Tell
from ciao_stream.stream.sources._capture import read_capture

AGAIN_S = (0.5, 30.0)
"""Seconds between tries to open what broke off: the first, and the most; doubled in between, with jitter."""

PATIENCE_S = 5.0
"""Seconds without a picture after which that is told, and told again."""

END_S = 1.0
"""Seconds for which a reader is waited for at the end; one that hangs in a driver ends with the process."""


def newest(capture: Any, open_again: Callable[[], Any], what: str, tell: Tell) -> Generator[SourceFrame, None, None]:
    """Yield the newest picture whenever one is asked for, none of them twice, for ever.

    A thread reads all that come, so that none waits in a driver or on the network. What breaks off is opened again.

    Args:
        capture: An open capture.
        open_again: Opens it anew; returns None where that fails.
        what: Names it, in what is told.
        tell: Told when no picture comes.
    """
    reader = _Reader(capture, open_again)
    reader.start()
    try:
        number = 0
        while True:
            taken = reader.take(PATIENCE_S)
            if taken is None:
                tell(f"{what}: no picture for {PATIENCE_S:.0f} s; trying again")
                continue
            yield SourceFrame(number, taken[1], captured_at=taken[0])
            number += 1
    finally:
        reader.end()


class _Reader(threading.Thread):
    def __init__(self, capture: Any, open_again: Callable[[], Any]) -> None:
        super().__init__(daemon=True, name="newest-picture")
        self._capture = capture
        self._open_again = open_again
        self._changed = threading.Condition()
        self._ending = threading.Event()
        self._newest: tuple[float, Image] | None = None

    def take(self, timeout_s: float) -> tuple[float, Image] | None:
        """Return when the newest picture came, and the picture; None where no new one comes in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None, timeout_s)
            taken, self._newest = self._newest, None
        return taken

    def end(self) -> None:
        """End the thread."""
        self._ending.set()
        self.join(END_S)

    def run(self) -> None:
        """Read until :meth:`end`."""
        wait = AGAIN_S[0]
        while not self._ending.is_set():
            image = None if self._capture is None else read_capture(self._capture)
            if image is not None:
                wait = AGAIN_S[0]
                with self._changed:
                    self._newest = time.time(), image
                    self._changed.notify()
                continue
            self._close()
            self._ending.wait(wait * random.uniform(0.5, 1.0))
            wait = min(2 * wait, AGAIN_S[1])
            if not self._ending.is_set():
                self._capture = self._open_again()
        self._close()

    def _close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None
