"""Images cut to a box each: where a data set gives the faces, or where a detector found them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ciao_stream.exceptions import DataError
from ciao_stream.faces.dataset import Image, ImageSource


@dataclass(frozen=True, eq=False)
class Cropped:
    """The parts of other images, an :class:`~ciao_stream.faces.dataset.ImageSource`; picklable.

    Args:
        images: The whole images.
        boxes: int64 (N, 4), one per image: x and y of the upper left corner, width, height, in pixels. What reaches
            over the image's edge is cut off; a width of 0 keeps the whole image.
    """

    images: ImageSource
    boxes: npt.NDArray[np.int64]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the images' fingerprint and the boxes."""
        return hashlib.sha256(f"{self.images.fingerprint}/".encode() + self.boxes.tobytes()).hexdigest()

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        """Say where the whole image stands."""
        return self.images.name(index)

    def read(self, index: int) -> Image:
        """Decode one image and cut it.

        Raises:
            DataError: The image is unreadable, or its box lies outside of it.
        """
        image = self.images.read(index)
        x, y, width, height = map(int, self.boxes[index])
        if width == 0:
            return image
        part = image[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
        if part.size == 0:
            rows, columns = image.shape[:2]
            raise DataError(
                f"{self.name(index)}: the face box (x {x}, y {y}, width {width}, height {height}) lies outside of the "
                f"image ({columns}x{rows} pixels); correct the box"
            )
        return part
