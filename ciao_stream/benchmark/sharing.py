"""Which tasks, and which of their splits, show the same images: by file name, or by pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ciao_stream.data.check.duplicates import Duplicates, find_duplicates
from ciao_stream.data.check.overlaps import find_sharings
from ciao_stream.data.check.places import Ids, Place, UniqueImages, number
from ciao_stream.data.check.scan import SUMMARY, Summaries, summarise
from ciao_stream.encoders.base import Encoder
from ciao_stream.encoders.cache import FeatureCache
from ciao_stream.faces.dataset import Split, TaskData

AT_ONCE = 256
"""Images between two reports of progress."""


def shared_images(tasks: Sequence[TaskData]) -> list[dict[str, Any]]:
    """Return pairs of splits of real tasks that read the same images, by name; no image is decoded.

    Returns:
        ``{one: {task, split}, other: {task, split}, images, leak}``; a leak is a pair of a test split and another one.
        ``fold`` is added in a cross-validation.
    """
    checked, _ = number({task.spec.name: task for task in tasks if task.train.source == "real"})
    return [
        {"one": _named(one.one), "other": _named(one.other), "images": one.images, "leak": one.is_leak}
        for one in find_sharings(checked)
    ]


def _named(place: Place) -> dict[str, str]:
    return {"task": place.task, "split": place.split, **({"fold": place.fold} if place.fold else {})}


@dataclass(frozen=True)
class Shared:
    """The images that two tasks have in common.

    Args:
        train: The task that is trained on.
        test: The task that is tested on.
        pictures: Images of the test task, in either part, that are in either part of the training task.
        learned: Its test images that the other trains on.
    """

    train: str
    test: str
    pictures: int
    learned: int

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


def find_shared(
    tasks: Sequence[TaskData], judged: Split, encoder: Encoder, cache: FeatureCache, progress: Callable[[int], None]
) -> list[Shared]:
    """Return what each task shares with each other one; pairs without a common image are omitted.

    Images of real data sets are compared as the encoder reads them, by the rules of :mod:`ciao_stream.data.check`:
    a mirrored image, or one cropped differently, is not found. Drawn faces resemble each other, so they are compared
    by name.

    Args:
        tasks: The tasks.
        judged: The split that results are measured on; that and ``train`` are compared.
        encoder: The encoder whose prepared pixels are compared.
        cache: Holds them.
        progress: Called with the number of images just compared.
    """
    images = UniqueImages()
    learned = [_numbered(images, task, "train") for task in tasks]
    tested = [_numbered(images, task, judged) for task in tasks]
    every = [np.union1d(*both) for both in zip(learned, tested, strict=True)]
    summaries = _summaries(images, _real_sources(tasks), encoder, cache, progress)
    duplicates = find_duplicates(summaries, np.full(len(images), -1, dtype=np.int64))
    found = [
        Shared(
            one.spec.name,
            other.spec.name,
            _count(duplicates, every[j], every[i]),
            _count(duplicates, tested[j], learned[i]),
        )
        for i, one in enumerate(tasks)
        for j, other in enumerate(tasks)
        if i != j
    ]
    return [shared for shared in found if shared.pictures]


def _numbered(images: UniqueImages, task: TaskData, split: Split) -> Ids:
    """Return the images of a split, of all folds, ascending."""
    return np.unique(np.concatenate([images.add(getattr(fold, split)) for fold in task.every_fold]))


def _real_sources(tasks: Sequence[TaskData]) -> set[int]:
    splits = (split for task in tasks for fold in task.every_fold for split in fold.splits())
    return {id(split.images) for split in splits if split.source == "real"}


def _summaries(
    images: UniqueImages, real: set[int], encoder: Encoder, cache: FeatureCache, progress: Callable[[int], None]
) -> Summaries:
    """Summarise the images of real sources; the others stay unreadable and have no duplicates."""
    summaries = np.zeros(len(images), dtype=SUMMARY)
    origins = images.origins()
    for index, source in enumerate(images.sources):
        ids = np.flatnonzero(origins[:, 0] == index)
        if id(source) in real and len(ids):
            pixels = cache.get(source, encoder, "pixels")
            for start in range(0, len(ids), AT_ONCE):
                chunk = ids[start : start + AT_ONCE]
                for i in chunk.tolist():
                    image = np.ascontiguousarray(pixels[origins[i, 1]].transpose(1, 2, 0))
                    summaries[i] = summarise(image[..., 0] if image.shape[2] == 1 else image)
                progress(len(chunk))
    return summaries


def _count(duplicates: Duplicates, ids: Ids, among: Ids) -> int:
    """Count the images that are among others, or have a duplicate there."""
    return int((np.isin(ids, among) | (duplicates.count(ids, among) > 0)).sum())
