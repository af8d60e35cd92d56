"""A camera or a film on the network, by its address."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.faces.dataset import Framing
from ciao_stream.stream.sources import SourceFrame, Tell, slug
from ciao_stream.stream.sources._capture import open_capture, read_all
from ciao_stream.stream.sources._newest import newest

SCHEMES = ("rtsp", "rtsps", "http", "https")


@dataclass(frozen=True, eq=False)
class Address:
    """Pictures from the network, a :class:`~ciao_stream.stream.sources.Source`.

    Args:
        url: The address; may hold a password.
        shown: The address without user, password and query.
        capture: What was opened there.
        count: Number of pictures of a film, which is read from beginning to end; None for what is live.
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
        """The host."""
        return slug(self.place)

    def frames(self, tell: Tell) -> Generator[SourceFrame, None, None]:
        """Yield a film's pictures in order; of what is live, the newest, and a line that broke is opened again."""
        if self.count is None:
            return newest(self.capture, lambda: open_capture(self.url), self.shown, tell)
        return (SourceFrame(number, image) for number, image in enumerate(read_all(self.capture)))


def open_source(text: str) -> Address:
    """Open an address.

    Raises:
        CiaoError: It is none that can be read, or nothing that OpenCV understands comes from there.
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
        raise UnknownNameError("kind of address", parts.scheme, SCHEMES)
    host = f"[{host}]" if ":" in host else host
    shown = f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"
    capture = open_capture(text)
    if capture is None:
        raise CiaoError(f"source {shown}: no pictures come from there: is the address right, and does it answer?")
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    return Address(text, shown, capture, count if count > 0 else None)
