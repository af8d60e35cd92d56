"""Reads pictures with OpenCV one by one, quietly."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from ciao_stream.faces.dataset import Image

OPEN_MS = 5000
"""Milliseconds within which an address must answer, and within which each of its pictures must come."""


def open_capture(where: str | int) -> Any:
    """Return a ``cv2.VideoCapture`` of an address, a file or, by its number, a camera; None where it gives nothing.

    Args:
        where: What OpenCV is to open. OpenCV and FFmpeg write nothing to stderr meanwhile.
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
    """Return the next picture, uint8 (height, width, 3) in RGB order; None where none comes any more."""
    import cv2

    try:
        read, image = capture.read()
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if read else None
    except cv2.error:
        return None


def read_all(capture: Any) -> Generator[Image, None, None]:
    """Yield the pictures of a capture, and close it."""
    try:
        while (image := read_capture(capture)) is not None:
            yield image
    finally:
        capture.release()
