"""Reads frames with OpenCV: all frames of a file in order, or the newest frame of a live capture."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

from ciao_stream.faces.dataset import Image
from ciao_stream.stream.sources import SourceFrame, Tell

OPEN_MS = 5000
"""Milliseconds within which an address must respond, and each of its frames must arrive."""

AGAIN_S = (0.5, 30.0)
"""Seconds between attempts to reopen a capture: the first, and the longest; doubled in between, with jitter."""

PATIENCE_S = 5.0
"""Seconds without a frame after which that is reported, and reported again."""

END_S = 1.0
"""Seconds to wait for the reading thread at the end; one that hangs in a driver ends with the process."""

_log = logging.getLogger(__name__)


def open_capture(where: str | int) -> Any:
    """Return a ``cv2.VideoCapture`` of an address, a file or a camera number; None where it cannot be opened.

    OpenCV and FFmpeg write nothing to stderr meanwhile.
    """
    import cv2

    from ciao_stream.faces.readers.video_frames import quiet_opencv

    with quiet_opencv():
        try:
            if isinstance(where, int):
                capture = cv2.VideoCapture(where)
            else:
                limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, OPEN_MS]
                capture = cv2.VideoCapture(where, cv2.CAP_FFMPEG, limits)
        except cv2.error:
            return None
    if capture.isOpened():
        return capture
    capture.release()
    return None


def read_capture(capture: Any) -> Image | None:
    """Return the next image, uint8 (height, width, 3) in RGB order; None where there is none."""
    import cv2

    try:
        read, image = capture.read()
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if read else None
    except cv2.error:
        return None


def read_all(capture: Any) -> Generator[Image, None, None]:
    """Yield all images of a capture, then close it."""
    try:
        while (image := read_capture(capture)) is not None:
            yield image
    finally:
        capture.release()


def newest(capture: Any, reopen: Callable[[], Any], what: str, tell: Tell) -> Generator[SourceFrame, None, None]:
    """Yield the newest frame on each request, each at most once, without end.

    A thread reads every frame, so that none waits in a driver or on the network, and reopens a capture that fails.

    Args:
        capture: An open capture.
        reopen: Opens it again; returns None on failure.
        what: Its name in reports.
        tell: Called when no frame arrives.
    """
    reader = _Reader(capture, reopen, what)
    reader.start()
    try:
        number = 0
        while True:
            taken = reader.take(PATIENCE_S)
            if taken is None:
                tell(f"{what}: no frame for {PATIENCE_S:.0f} s; trying again")
                continue
            yield SourceFrame(number, taken[1], captured_at=taken[0])
            number += 1
    finally:
        reader.end()


class _Reader(threading.Thread):
    def __init__(self, capture: Any, reopen: Callable[[], Any], what: str) -> None:
        super().__init__(daemon=True, name="newest-frame")
        self._capture = capture
        self._reopen = reopen
        self._what = what
        self._changed = threading.Condition()
        self._ending = threading.Event()
        self._newest: tuple[float, Image] | None = None

    def take(self, timeout_s: float) -> tuple[float, Image] | None:
        """Return the newest image and when it arrived (Unix seconds); None where no new one arrives in time."""
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
                _log.warning("%s: no frame; opening it again", self._what)
                self._capture = self._reopen()
        self._close()

    def _close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None
