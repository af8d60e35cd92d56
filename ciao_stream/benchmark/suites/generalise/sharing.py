"""Which tasks show the same pictures: the same files, equal pixels, or pixels so near that a face would count twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ciao_stream.data.check.duplicates import Duplicates, find_duplicates
from ciao_stream.data.check.places import Ids, UniqueImages
from ciao_stream.data.check.scan import SUMMARY, Summaries, summarise
from ciao_stream.encoders.base import Encoder
from ciao_stream.encoders.cache import FeatureCache
from ciao_stream.faces.dataset import Split, TaskData

AT_ONCE = 256
"""Pictures between two reports of progress."""


@dataclass(frozen=True)
class Shared:
    """What two tasks have in common, seen from the one that is trained on.

    Args:
        train: The task that is trained on.
        test: The task that is tested on.
        pictures: How many pictures of the latter, trained or tested on there, are in either part of the former.
        learned: How many of its test pictures the former trains on.
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
    """Return what each task shares with each other one; pairs without a common picture are left out.

    Pictures of real data sets are compared as the encoder is shown them, by the rules of :mod:`ciao_stream.data.check`:
    a mirrored picture, or one cut otherwise, is not found. Drawn faces resemble each other: they are told by their
    name.

    Args:
        tasks: The tasks.
        judged: The split that results are measured on; that and ``train`` are compared.
        encoder: Whose prepared pixels are compared.
        cache: Where they are.
        progress: Told how many more pictures were looked at.
    """
    pictures = UniqueImages()
    learned = [_numbered(pictures, task, "train") for task in tasks]
    tested = [_numbered(pictures, task, judged) for task in tasks]
    every = [np.union1d(*both) for both in zip(learned, tested, strict=True)]
    looks = _looks(pictures, _real_sources(tasks), encoder, cache, progress)
    duplicates = find_duplicates(looks, np.full(len(pictures), -1, dtype=np.int64))
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


def _numbered(pictures: UniqueImages, task: TaskData, split: Split) -> Ids:
    """Return the pictures of a split, in whichever fold, ascending."""
    return np.unique(np.concatenate([pictures.add(getattr(fold, split)) for fold in task.every_fold]))


def _real_sources(tasks: Sequence[TaskData]) -> set[int]:
    splits = (split for task in tasks for fold in task.every_fold for split in fold.splits())
    return {id(split.images) for split in splits if split.source == "real"}


def _looks(
    pictures: UniqueImages, real: set[int], encoder: Encoder, cache: FeatureCache, progress: Callable[[int], None]
) -> Summaries:
    """Look at the pictures of real sources; the others stay unreadable, and are nobody's duplicate."""
    looks = np.zeros(len(pictures), dtype=SUMMARY)
    places = pictures.origins()
    for number, source in enumerate(pictures.sources):
        ids = np.flatnonzero(places[:, 0] == number)
        if id(source) in real and len(ids):
            pixels = cache.get(source, encoder, "pixels")
            for start in range(0, len(ids), AT_ONCE):
                chunk = ids[start : start + AT_ONCE]
                for i in chunk.tolist():
                    image = np.ascontiguousarray(pixels[places[i, 1]].transpose(1, 2, 0))
                    looks[i] = summarise(image[..., 0] if image.shape[2] == 1 else image)
                progress(len(chunk))
    return looks


def _count(duplicates: Duplicates, ids: Ids, among: Ids) -> int:
    """Count the pictures that are among others, or have a duplicate there."""
    return int((np.isin(ids, among) | (duplicates.count(ids, among) > 0)).sum())
