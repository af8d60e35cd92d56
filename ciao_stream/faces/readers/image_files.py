"""Image files as an image source: decoded one at a time, whatever they hold, and never in part."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ciao_stream.exceptions import DataError
from ciao_stream.faces.dataset import Image
from ciao_stream.faces.readers.file_contents import contents_sha256

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
"""File name endings of images, in lower case."""

GRAY_MODES = ("1", "L", "LA", "La")
"""Pillow's modes of 8 bits or less with one channel, transparency aside."""


@dataclass(frozen=True)
class ImageFiles:
    """Images in files, an :class:`~ciao_stream.faces.dataset.ImageSource`; picklable.

    Args:
        folder: Where they are.
        names: File of each image, relative to ``folder``, with ``/`` between its parts.
    """

    folder: Path
    names: tuple[str, ...]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the names and contents of all files in order; every file is read once per change of any."""
        return contents_sha256(self.folder, self.names)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.names)

    def name(self, index: int) -> str:
        """Return the path of a file."""
        return str(self.folder / self.names[index])

    def read(self, index: int) -> Image:
        """Decode one image: see :func:`decode`.

        Raises:
            DataError: The file is missing, cut short or no image.
        """
        path = self.folder / self.names[index]
        return decode(_content(path), path)


def decode(content: bytes, path: Path) -> Image:
    """Decode an image file: upright as its EXIF says, without transparency, 16 bits cut to 8.

    Args:
        content: The file's bytes.
        path: The file, for errors.

    Returns:
        uint8: (height, width) for gray images, (height, width, 3) in RGB order for all others.

    Raises:
        DataError: The file is empty, cut short, or no image that can be shown.
    """
    from PIL import Image as Pillow
    from PIL import ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is wrong is raised as well
            image = ImageOps.exif_transpose(Pillow.open(io.BytesIO(content)))
            if image.mode.startswith("I"):
                return np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255).astype(np.uint8)
            return np.array(image.convert("L" if image.mode in GRAY_MODES else "RGB"))
    except (OSError, SyntaxError, ValueError, Pillow.DecompressionBombError) as error:
        what = "an empty file" if not content else f"not a whole image ({len(content):,} bytes)"
        raise DataError(f"{path}: {what}; get the file again") from error


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
