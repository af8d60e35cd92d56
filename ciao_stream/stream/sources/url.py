"""A camera or a video on the network, by its address."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.faces.dataset import Framing
from ciao_stream.stream.sources import SourceFrame, Tell, slug
from ciao_stream.stream.sources._capture import newest, open_capture, read_all

FORM = "rtsp://..., http(s)://..."

SCHEMES = ("rtsp", "rtsps", "http", "https")


@dataclass(frozen=True, eq=False)
class Address:
    """Frames from the network, a :class:`~ciao_stream.stream.sources.Source`.

    Args:
        url: The address; may hold a password.
        shown: The address without user, password and query.
        capture: The open address.
        count: Number of frames of a video, which is read from start to end; None for a live source.
    """

    url: str = field(repr=False)
    shown: str
    capture: Any
    count: int | None = None
    fingerprint = spec = None
    framing: Framing = "photo"

    @property
    def place(self) -> str:
        """The host."""
        return urlsplit(self.shown).hostname or "-"

    @property
    def title(self) -> str:
        """As :attr:`place`."""
        return slug(self.place)

    def frames(self, tell: Tell) -> Generator[SourceFrame, None, None]:
        """Yield a video's frames in order; of a live source the newest frame, reopening a connection that fails."""
        if self.count is None:
            return newest(self.capture, lambda: open_capture(self.url), self.shown, tell)
        return (SourceFrame(number, image) for number, image in enumerate(read_all(self.capture)))


def open_source(text: str) -> Address:
    """Open an address.

    Raises:
        CiaoError: The address cannot be read, or OpenCV gets no frames from it.
    """
    import cv2

    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host:
        raise CiaoError(f"source: cannot read the address: expected {', '.join(SCHEMES)} and ://HOST[:PORT]/PATH")
    if parts.scheme not in SCHEMES:
        raise UnknownNameError("scheme", parts.scheme, SCHEMES)
    host = f"[{host}]" if ":" in host else host
    shown = f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"
    capture = open_capture(text)
    if capture is None:
        raise CiaoError(f"source {shown}: no frames received: is the address right, and does the camera respond?")
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    return Address(text, shown, capture, count if count > 0 else None)
