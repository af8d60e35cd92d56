"""Image files as an image source: decoded one at a time, and checked for files that were cut short."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ciao_stream.exceptions import DataError
from ciao_stream.faces import Image

SUFFIXES = (".jpg", ".jpeg", ".png")
"""File name endings of images, in lower case."""


@dataclass(frozen=True)
class ImageFiles:
    """Gray images in files, an :class:`~ciao_stream.faces.ImageSource`; picklable.

    Args:
        folder: Where they are.
        names: File of each image, relative to ``folder``, with ``/`` between its parts.
    """

    folder: Path
    names: tuple[str, ...]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the names and contents of all files in order; the first call reads every file."""
        digest = hashlib.sha256()
        for name in self.names:
            content = hashlib.sha256(self._content(self.folder / name)).hexdigest()
            digest.update(f"{content} {name}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.names)

    def read(self, index: int) -> Image:
        """Decode one image.

        Returns:
            uint8 (height, width), gray.

        Raises:
            DataError: The file is missing, cut short or no image.
        """
        import cv2

        path = self.folder / self.names[index]
        content = self._content(path)
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE) if is_whole(content) else None
        if image is None:
            raise DataError(f"{path}: not a whole jpg or png image ({len(content):,} bytes); get the file again")
        return image  # type: ignore[no-any-return]

    @staticmethod
    def _content(path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def is_whole(content: bytes) -> bool:
    """Whether bytes begin as a jpg or png and reach its end mark; OpenCV 4 fills what is missing with gray.

    A jpg's end mark FF D9 is looked for after its last start of scan FF DA, for an embedded thumbnail has both.
    """
    if content.startswith(b"\xff\xd8"):
        scan = content.rfind(b"\xff\xda")
        return scan > 0 and b"\xff\xd9" in content[scan:]
    return content.startswith(b"\x89PNG\r\n\x1a\n") and b"IEND" in content[-64:]
