"""The tasks that are checked, their splits and folds, and a number for each distinct image that they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from benchmarks.names import split_rule
from ciao_stream.faces.dataset import FaceDataset, ImageSource, TaskData
from ciao_stream.faces.readers.image_files import Cropped

Ids = npt.NDArray[np.int64]


Labels = dict[tuple[str, ...], int]
"""A number for each label of any task."""


class UniqueImages:
    """Numbers images: those with the same name, and the same box if they are cropped, have one number."""

    def __init__(self) -> None:
        self.sources: list[ImageSource] = []
        self._ids: dict[str, int] = {}
        self._where: list[tuple[int, int]] = []
        self._of_source: dict[int, tuple[int, Ids]] = {}

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._where)

    def add(self, dataset: FaceDataset) -> Ids:
        """Number the images of a split.

        Returns:
            int64 (N,), the number of each sample's image.
        """
        source = dataset.images
        if id(source) not in self._of_source:
            self._of_source[id(source)] = len(self.sources), np.full(len(source), -1, dtype=np.int64)
            self.sources.append(source)
        number, ids = self._of_source[id(source)]
        for row in dataset.rows[ids[dataset.rows] < 0].tolist():
            ids[row] = self._ids.setdefault(_key(source, row), len(self._where))
            if ids[row] == len(self._where):
                self._where.append((number, row))
        return ids[dataset.rows]

    def origins(self) -> npt.NDArray[np.int64]:
        """Return where each image is read from: int64 (N, 2), index into ``sources`` and row."""
        return np.array(self._where, dtype=np.int64).reshape(-1, 2)

    def name(self, image: int) -> str:
        """Return an image's file, or file and line."""
        number, row = self._where[image]
        return self.sources[number].name(row)


def _key(source: ImageSource, row: int) -> str:
    """Return a text that identifies an image."""
    if isinstance(source, Cropped):
        return f"{_key(source.images, row)} {source.boxes[row].tolist()}"
    return source.name(row)


@dataclass(frozen=True, eq=False)
class Place:
    """One split of one fold of a task.

    Args:
        task: The task, as the user wrote it (``ferplus:majority``).
        fold: The fold, empty where there are none.
        data: The split.
        ids: int64 (N,), the number of each sample's image.
        labels: int64 (N,), a number for the label of each sample; None for dimensional tasks.
    """

    task: str
    fold: str
    data: FaceDataset
    ids: Ids
    labels: npt.NDArray[np.int64] | None

    @property
    def split(self) -> str:
        """The split's name."""
        return self.data.split

    @property
    def key(self) -> tuple[str, str, str]:
        """Task, fold and split, which identify a place."""
        return self.task, self.fold, self.split

    @property
    def is_test(self) -> bool:
        """Whether it is the test split."""
        return self.split == "test"

    def without(self, ids: Ids) -> Place:
        """Return the place without some images and their labels; ``data`` stays complete."""
        kept = np.isin(self.ids, ids, invert=True)
        if kept.all():
            return self
        return replace(self, ids=self.ids[kept], labels=None if self.labels is None else self.labels[kept])


@dataclass(frozen=True, eq=False)
class Checked:
    """One task.

    Args:
        name: As the user wrote it.
        data: What was loaded.
        folds: The splits of each fold; without cross-validation there is one.
    """

    name: str
    data: TaskData
    folds: tuple[tuple[Place, ...], ...]

    @property
    def places(self) -> tuple[Place, ...]:
        """Its splits, in the first fold."""
        return self.folds[0]

    @property
    def base(self) -> str:
        """The data set's name without a rule; for a user's own faces it includes the path."""
        return self.data.spec.name if split_rule(self.name)[0] == self.data.spec.name else self.name

    def ids(self) -> Ids:
        """Return the numbers of its images, ascending."""
        return np.unique(np.concatenate([place.ids for place in self.places]))


def number(tasks: dict[str, TaskData]) -> tuple[list[Checked], UniqueImages]:
    """Number the images and the labels of all tasks."""
    images, labels = UniqueImages(), Labels()
    checked = []
    for name, data in tasks.items():
        folds = tuple(
            tuple(
                Place(name, fold.fold, split, images.add(split), _number_labels(split, labels))
                for split in fold.splits()
            )
            for fold in data.every_fold
        )
        checked.append(Checked(name, data, folds))
    return checked, images


def clips(checked: Sequence[Checked], n: int) -> npt.NDArray[np.int64]:
    """Return the clip of each of ``n`` images, -1 for none: int64 (n,)."""
    clip_of = np.full(n, -1, dtype=np.int64)
    for place in (place for task in checked for place in task.places):
        if place.data.groups is not None:
            groups = np.unique(place.data.groups, return_inverse=True)[1].ravel() + clip_of.max(initial=-1) + 1
            new = clip_of[place.ids] < 0
            clip_of[place.ids[new]] = groups[new]
    return clip_of


def _number_labels(split: FaceDataset, labels: Labels) -> npt.NDArray[np.int64] | None:
    """Number labels: a class by its name, a multilabel target by the task's labels and those that are present."""
    if split.spec.kind == "dimensional":
        return None
    if split.spec.has_classes:
        offered = [labels.setdefault((label,), len(labels)) for label in split.spec.labels]
        return np.array(offered, dtype=np.int64)[split.classes()]
    rows, inverse = np.unique(split.targets, axis=0, return_inverse=True)
    present = [("of", *split.spec.labels, "held", *np.array(split.spec.labels)[row > 0].tolist()) for row in rows]
    return np.array([labels.setdefault(key, len(labels)) for key in present], dtype=np.int64)[inverse.ravel()]


def comparable(one: Place, other: Place) -> bool:
    """Return whether the labels of two splits can be compared."""
    a, b = one.data.spec, other.data.spec
    return (a.has_classes and b.has_classes) or (a.kind == b.kind == "multilabel" and a.labels == b.labels)
