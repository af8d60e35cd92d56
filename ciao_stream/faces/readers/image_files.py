"""Image files as an image source: decoded one at a time, completely or not at all, and optionally cropped."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ciao_stream.exceptions import CiaoError, DataError, reading
from ciao_stream.faces.dataset import Image, ImageSource
from ciao_stream.faces.readers.index_cache import contents_sha256

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
"""File name endings of images, in lower case."""

GRAY_MODES = ("1", "L", "LA", "La")
"""Pillow's modes of 8 bits or less with one channel, transparency aside."""


@dataclass(frozen=True)
class ImageFiles:
    """Images in files, an :class:`~ciao_stream.faces.dataset.ImageSource`; picklable.

    Args:
        folder: Their folder.
        names: File of each image, relative to ``folder``, with ``/`` between its parts.
    """

    folder: Path
    names: tuple[str, ...]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the names and contents of all files in order; files are read again if any of them changes."""
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
            DataError: The file is missing, truncated or not an image.
        """
        path = self.folder / self.names[index]
        with reading(path):
            content = path.read_bytes()
        return decode(content, path)


def decode(content: bytes, path: Path) -> Image:
    """Decode an image file: rotated as its EXIF says, without transparency, 16 bits reduced to 8.

    Args:
        content: The file's bytes.
        path: The file, for errors.

    Returns:
        uint8: (height, width) for gray images, (height, width, 3) in RGB order for all others.

    Raises:
        DataError: The file is empty, truncated, or not an image.
    """
    from PIL import Image as Pillow
    from PIL import ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # errors are raised as well
            image = ImageOps.exif_transpose(Pillow.open(io.BytesIO(content)))
            if image.mode.startswith("I"):
                return np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255).astype(np.uint8)
            return np.array(image.convert("L" if image.mode in GRAY_MODES else "RGB"))
    except (OSError, SyntaxError, ValueError, Pillow.DecompressionBombError) as error:
        what = "an empty file" if not content else f"not a whole image ({len(content):,} bytes)"
        raise DataError(f"{path}: {what}; get the file again") from error


@dataclass(frozen=True, eq=False)
class Cropped:
    """Images of another source, cropped; an :class:`~ciao_stream.faces.dataset.ImageSource`; picklable.

    Args:
        images: The whole images.
        boxes: int64 (N, 4), one per image: x and y of the upper left corner, width, height, in pixels. Boxes are
            clipped to the image; a width of 0 keeps the whole image.
    """

    images: ImageSource
    boxes: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        found = f"{self.boxes.dtype} of shape {self.boxes.shape}"
        if found != f"int64 of shape {(len(self.images), 4)}":
            raise CiaoError(f"expected boxes as int64 of shape {(len(self.images), 4)} but got {found}")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the images' fingerprint and the boxes."""
        return hashlib.sha256(f"{self.images.fingerprint}/".encode() + self.boxes.tobytes()).hexdigest()

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        """Return the name of the whole image."""
        return self.images.name(index)

    def read(self, index: int) -> Image:
        """Decode and crop one image.

        Raises:
            DataError: The image is unreadable, or its box is outside it.
        """
        image = self.images.read(index)
        x, y, width, height = map(int, self.boxes[index])
        if width == 0:
            return image
        part = image[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
        if part.size == 0:
            rows, columns = image.shape[:2]
            raise DataError(
                f"{self.name(index)}: the face box (x {x}, y {y}, width {width}, height {height}) is outside the "
                f"image ({columns}x{rows} pixels); correct the box"
            )
        return part
