"""Cuts photographs to the face before anything is learned from them: the stage between loading and encoding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from ciao_stream.exceptions import DataError, UnknownNameError
from ciao_stream.faces.dataset import FaceDataset, Image, ImageSource, TaskData, image_sources
from ciao_stream.faces.detection import Boxes, Detector, load_detector
from ciao_stream.faces.readers.image_files import Cropped
from ciao_stream.faces.readers.index_cache import Index, cached_index

When = Literal["auto", "always", "never"]
NoFace = Literal["whole", "drop", "error"]
Several = Literal["largest", "central", "error"]

Progress = Callable[[int], None]
"""Called with the number of images just searched."""


@dataclass(frozen=True)
class FaceCrop:
    """What is done with images in which the face still has to be found.

    Args:
        when: ``auto``: data sets of photographs are cropped (their ``framing`` says so); ``always``: all are;
            ``never``: none is.
        detector: A name that :func:`ciao_stream.faces.detection.load_detector` knows.
        no_face: What becomes of an image in which no face is found: it stays as it is (``whole``), its samples are
            left out and counted (``drop``), or it is an ``error``.
        several: Which face is taken where several are found: the ``largest``, the one nearest to the middle of the
            image (``central``), or none, as an ``error``.

    Raises:
        UnknownNameError: A value is none of those.
    """

    when: When = "auto"
    detector: str = "haar"
    no_face: NoFace = "whole"
    several: Several = "largest"

    def __post_init__(self) -> None:
        for what, value, choices in (
            ("face crop", self.when, When),
            ("way with no face", self.no_face, NoFace),
            ("way with several faces", self.several, Several),
        ):
            if value not in get_args(choices):
                raise UnknownNameError(what, value, get_args(choices))

    def applies(self, data: TaskData) -> bool:
        """Whether a task's images are to be cropped."""
        if self.when == "auto":
            return any(split.framing == "photo" for split in data.splits())
        return self.when == "always"


def searches(data: TaskData, crop: FaceCrop) -> int:
    """Return how many images :func:`crop_faces` will look at."""
    return sum(map(len, _sources(data))) if crop.applies(data) else 0


def crop_faces(data: TaskData, crop: FaceCrop, progress: Progress = lambda _: None) -> TaskData:
    """Return a task, and all its folds, with every image cut to one face; as it is where the crop does not apply.

    What was found is kept in the user's cache folder, so that each image is searched once per detector.

    Args:
        data: The task.
        crop: What to do.
        progress: Told of the images that have been searched.

    Raises:
        DataError: An image is unreadable, or shows no face or several where that is an error.
        CiaoError: The detector cannot be had.
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
    """One image source after the search: its crops, and how many faces each image shows."""

    images: Cropped
    faces: npt.NDArray[np.int64]


def _sources(data: TaskData) -> list[ImageSource]:
    """Return the distinct image sources of a task and its folds."""
    return image_sources(split for fold in data.every_fold for split in fold.splits())


def _search(images: ImageSource, detector: Detector, crop: FaceCrop, progress: Progress) -> _Found:
    """Look for faces in every image of a source, or recall what was found."""

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
        _choose(*pair, crop.several) for pair in zip(np.split(index["boxes"], ends), index["middles"], strict=True)
    ]
    return _Found(Cropped(images, np.array(chosen, dtype=np.int64)), index["faces"])


def _middle(image: Image) -> tuple[float, float]:
    return image.shape[1] / 2, image.shape[0] / 2


def _choose(boxes: Boxes, middle: npt.NDArray[np.float64], several: Several) -> Boxes:
    """Return one of an image's boxes, (4,); a width of 0 stands for the whole image."""
    if len(boxes) == 0:
        return np.zeros(4, dtype=np.int64)
    if several != "central":
        return boxes[0]
    offsets = boxes[:, :2] + boxes[:, 2:] / 2 - middle
    return boxes[np.argmin((offsets**2).sum(axis=1))]  # type: ignore[no-any-return]


def _apply(split: FaceDataset, found: _Found, crop: FaceCrop, detector: str) -> FaceDataset:
    """Return a split of the crops, with what was found counted."""
    faces = found.faces[split.rows]
    none, several = faces == 0, faces > 1
    where = f"task {split.spec.name!r}, split {split.split!r}"
    if crop.no_face == "error" and none.any():
        raise DataError(
            f"{where}: {detector} finds no face in {int(none.sum()):,} of {len(none):,} images, the first of them "
            f"{split.name(int(none.argmax()))}; choose --no-face whole or drop"
        )
    if crop.several == "error" and several.any():
        raise DataError(
            f"{where}: {detector} finds several faces in {int(several.sum()):,} of {len(several):,} images, the first "
            f"of them {split.name(int(several.argmax()))}; choose --several-faces largest or central"
        )
    detection = {"images": len(faces), "none": int(none.sum()), "several": int(several.sum())}
    kept = ~none if crop.no_face == "drop" else np.ones(len(faces), dtype=bool)
    if not kept.any():
        raise DataError(f"{where}: {detector} finds a face in none of {len(none):,} images; choose --no-face whole")
    dropped = {"no face found": detection["none"]} if crop.no_face == "drop" and none.any() else {}
    return replace(
        split.take(kept),
        images=found.images,
        dropped={**split.dropped, **dropped},
        framing="face",
        detection={"detector": detector, **detection},
    )
