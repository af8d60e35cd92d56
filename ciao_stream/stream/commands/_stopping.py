"""SIGTERM as a clean end: what is open is closed, and what was done is said."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class Terminated(BaseException):
    """SIGTERM came."""


@contextlib.contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Leave the block when SIGTERM comes, as by an exception that nobody else sees; for the main thread."""

    def terminate(_: int, __: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except Terminated:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
