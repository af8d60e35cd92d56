"""A camera of this machine, by its number."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import Framing
from ciao_stream.stream.sources import SourceFrame, Tell
from ciao_stream.stream.sources._capture import newest, open_capture

FORM = "camera:NUMBER"


@dataclass(frozen=True, eq=False)
class Camera:
    """A live camera, a :class:`~ciao_stream.stream.sources.Source`.

    Args:
        number: OpenCV's number of the camera.
        capture: The open camera.
    """

    number: int
    capture: Any
    fingerprint = spec = count = None
    framing: Framing = "photo"

    @property
    def title(self) -> str:
        """``camera`` and its number."""
        return f"camera{self.number}"

    place = title

    def frames(self, tell: Tell) -> Generator[SourceFrame, None, None]:
        """Yield the newest frame on each request; wait for a camera that is unplugged."""
        return newest(self.capture, lambda: open_capture(self.number), f"camera {self.number}", tell)


def open_source(text: str) -> Camera:
    """Open a camera.

    Raises:
        CiaoError: The text is not a number, or there is no such camera.
    """
    if not (text.isascii() and text.isdecimal()):
        raise CiaoError(f"camera {text!r}: expected its number, such as camera:0")
    capture = open_capture(int(text))
    if capture is None:
        raise CiaoError(f"camera {text} cannot be opened: is it plugged in, free, and may you use /dev/video{text}?")
    return Camera(int(text), capture)
