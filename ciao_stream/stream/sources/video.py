"""A video file, from its first frame to its last."""

from __future__ import annotations

import os
from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ciao_stream.exceptions import DataError, reading
from ciao_stream.faces.dataset import Framing
from ciao_stream.faces.readers.index_cache import contents_sha256
from ciao_stream.stream.sources import SourceFrame, Tell, slug
from ciao_stream.stream.sources._capture import open_capture, read_all

FORM = "video:FILE"


@dataclass(frozen=True)
class Video:
    """The frames of a video, a :class:`~ciao_stream.stream.sources.Source`.

    Args:
        path: The file.
    """

    path: Path
    spec = count = None
    framing: Framing = "photo"

    @property
    def title(self) -> str:
        """The file's name."""
        return slug(self.path.name)

    place = title

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the file's name and content."""
        return contents_sha256(self.path.parent, [self.path.name])

    def frames(self, _: Tell) -> Generator[SourceFrame, None, None]:
        """Yield the frames in order, upright as the file's metadata says."""
        capture = open_capture(str(self.path.absolute()))
        if capture is None:
            raise DataError(f"{self.path}: not a video that OpenCV can decode; get the file again")
        return (SourceFrame(number, image) for number, image in enumerate(read_all(capture)))


def open_source(text: str) -> Video:
    """Open a file.

    Raises:
        DataError: It cannot be read, or is not a video that OpenCV can decode.
    """
    path = Path(text)
    with reading(path), path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
    images = open_capture(str(path.absolute())) if size else None
    if images is None or next(read_all(images), None) is None:
        what = f"not a video that OpenCV can decode ({size:,} bytes)" if size else "an empty file"
        raise DataError(f"{path}: {what}; give a video, a folder of images or dataset:TASK")
    return Video(path)
