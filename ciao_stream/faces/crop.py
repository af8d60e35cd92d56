"""Crops photographs to the face: the stage between loading and encoding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from ciao_stream.exceptions import DataError
from ciao_stream.faces.dataset import FaceDataset, Image, ImageSource, TaskData, image_sources
from ciao_stream.faces.detection import Boxes, Detector, load_detector
from ciao_stream.faces.readers.image_files import Cropped
from ciao_stream.faces.readers.index_cache import Index, cached_index
from ciao_stream.runtime.options import option, validate

Progress = Callable[[int], None]
"""Called with the number of images just searched."""


@dataclass(frozen=True)
class FaceCrop:
    """Whether and how images are cropped to a face.

    Args:
        face_crop: Which data sets are cropped to the face: ``auto`` crops photographs (the data set's ``framing``).
        detector: Face detector, ``haar`` or ``yunet:FILE``. See :func:`ciao_stream.faces.detection.load_detector`.
        no_face: What to do with an image without a detected face: keep the ``whole`` image, ``drop`` and count it, or
            raise an ``error``.
        several_faces: Which face is used if several are detected: the ``largest``, the most ``central``, or none
            (``error``).

    Raises:
        CiaoError: A value is not one of its choices.
    """

    face_crop: Literal["auto", "always", "never"] = "auto"
    detector: str = option("haar", metavar="DETECTOR")
    no_face: Literal["whole", "drop", "error"] = "whole"
    several_faces: Literal["largest", "central", "error"] = "largest"

    def __post_init__(self) -> None:
        validate(self)

    def applies(self, data: TaskData) -> bool:
        """Whether a task's images will be cropped."""
        if self.face_crop == "auto":
            return any(split.framing == "photo" for split in data.splits())
        return self.face_crop == "always"


def searches(data: TaskData, crop: FaceCrop) -> int:
    """Return how many images :func:`crop_faces` will search."""
    return sum(map(len, _sources(data))) if crop.applies(data) else 0


def crop_faces(data: TaskData, crop: FaceCrop, progress: Progress = lambda _: None) -> TaskData:
    """Return a task, and all its folds, with every image cropped to one face; unchanged if the crop does not apply.

    The boxes are kept in the user's cache folder, so each image is searched once per detector.

    Args:
        data: The task.
        crop: Which images to crop, and how.
        progress: Called with the number of images just searched.

    Raises:
        DataError: An image is unreadable, or has no face or several and ``crop`` makes this an error.
        CiaoError: The detector cannot be loaded.
    """
    if not crop.applies(data):
        return data
    detector = load_detector(crop.detector)
    found = {id(images): _search(images, detector, crop, progress) for images in _sources(data)}

    def cropped(fold: TaskData) -> TaskData:
        splits = {split.split: _apply(split, found[id(split.images)], crop, detector.name) for split in fold.splits()}
        return replace(fold, **splits, folds=())  # type: ignore[arg-type]

    if data.folds:
        return TaskData.cross_validation([cropped(fold) for fold in data.folds])
    return cropped(data)


@dataclass(frozen=True)
class _Found:
    """The crops of one image source, and the number of faces in each image."""

    images: Cropped
    faces: npt.NDArray[np.int64]


def _sources(data: TaskData) -> list[ImageSource]:
    """Return the distinct image sources of a task and its folds."""
    return image_sources(split for fold in data.every_fold for split in fold.splits())


def _search(images: ImageSource, detector: Detector, crop: FaceCrop, progress: Progress) -> _Found:
    """Detect the faces in every image of a source, or read them from the cache."""

    def build() -> Index:
        boxes: list[Boxes] = []
        middles = np.empty((len(images), 2))
        for index in range(len(images)):
            image = images.read(index)
            boxes.append(detector.find(image))
            middles[index] = _middle(image)
            progress(1)
        faces = np.array([len(found) for found in boxes], dtype=np.int64)
        return {"boxes": np.concatenate(boxes), "faces": faces, "middles": middles}

    index = cached_index(f"faces/1/{images.fingerprint}/{detector.fingerprint}", build)
    ends = np.cumsum(index["faces"])[:-1]
    chosen = [
        _choose(*pair, crop.several_faces)
        for pair in zip(np.split(index["boxes"], ends), index["middles"], strict=True)
    ]
    return _Found(Cropped(images, np.array(chosen, dtype=np.int64)), index["faces"])


def _middle(image: Image) -> tuple[float, float]:
    return image.shape[1] / 2, image.shape[0] / 2


def _choose(boxes: Boxes, middle: npt.NDArray[np.float64], rule: str) -> Boxes:
    """Return one of an image's boxes, shape (4,); a width of 0 means the whole image."""
    if len(boxes) == 0:
        return np.zeros(4, dtype=np.int64)
    if rule != "central":
        return boxes[0]
    offsets = boxes[:, :2] + boxes[:, 2:] / 2 - middle
    return boxes[np.argmin((offsets**2).sum(axis=1))]  # type: ignore[no-any-return]


def _apply(split: FaceDataset, found: _Found, crop: FaceCrop, detector: str) -> FaceDataset:
    """Return a split of the crops, with counts of the detected faces."""
    faces = found.faces[split.rows]
    none, several = faces == 0, faces > 1
    where = f"task {split.spec.name!r}, split {split.split!r}"
    if crop.no_face == "error" and none.any():
        raise DataError(
            f"{where}: {detector} found no face in {int(none.sum()):,} of {len(none):,} images, the first of them "
            f"{split.name(int(none.argmax()))}; choose --no-face whole or drop"
        )
    if crop.several_faces == "error" and several.any():
        raise DataError(
            f"{where}: {detector} found several faces in {int(several.sum()):,} of {len(several):,} images, the first "
            f"of them {split.name(int(several.argmax()))}; choose --several-faces largest or central"
        )
    detection = {"images": len(faces), "none": int(none.sum()), "several": int(several.sum())}
    kept = ~none if crop.no_face == "drop" else np.ones(len(faces), dtype=bool)
    if not kept.any():
        raise DataError(f"{where}: {detector} found a face in none of {len(none):,} images; choose --no-face whole")
    dropped = {"no face found": detection["none"]} if crop.no_face == "drop" and none.any() else {}
    return replace(
        split.take(kept),
        images=found.images,
        dropped={**split.dropped, **dropped},
        framing="face",
        detection={"detector": detector, **detection},
    )
