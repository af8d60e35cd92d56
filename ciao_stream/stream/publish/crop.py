"""Cuts pictures to the face, one at a time, on their way from a source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ciao_stream.faces.dataset import Image
from ciao_stream.faces.detection import Detector
from ciao_stream.stream.sources import Skipped, SourceFrame

NO_FACE = "no face found"
"""Why a picture without a face is left out."""


def cut_to_faces(pictures: Iterable[SourceFrame | Skipped], detector: Detector) -> Iterator[SourceFrame | Skipped]:
    """Yield each picture cut to its largest face; those that show none are left out.

    Args:
        pictures: Of a source.
        detector: Finds the faces.
    """
    for picture in pictures:
        if isinstance(picture, Skipped):
            yield picture
        elif (face := _largest(picture.image, detector)) is None:
            yield Skipped(picture.number, NO_FACE, f"picture {picture.number}: {detector.name} finds no face")
        else:
            yield replace(picture, image=face)


def _largest(image: Image, detector: Detector) -> Image | None:
    boxes = detector.find(image)
    if len(boxes) == 0:
        return None
    x, y, width, height = map(int, boxes[0])
    face = image[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
    return face if face.size else None
