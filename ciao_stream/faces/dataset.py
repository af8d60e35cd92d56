"""Faces with targets, read lazily: the contract between data sets and everything that learns from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from ciao_stream.exceptions import DataError
from ciao_stream.faces.task import TaskSpec
from ciao_stream.runtime.expect import expect

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

Framing = Literal["face", "photo"]

Image = npt.NDArray[np.uint8]
"""One face: uint8, (height, width) gray or (height, width, 3) in RGB order."""


class ImageSource(Protocol):
    """An ordered set of images that is read one at a time; nothing is decoded before :meth:`read`.

    Several data sets may share one source (FER and FER+ do), so that its features are encoded once.
    """

    @property
    def fingerprint(self) -> str:
        """Hex digest that changes whenever any image, or the order of the images, changes."""
        ...

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """Say where image ``index`` stands, as errors and reports name it: the file, or the file and the line."""
        ...

    def read(self, index: int) -> Image:
        """Decode image ``index``.

        Raises:
            DataError: The image is unreadable; the message names the file or row.
        """
        ...


@dataclass(frozen=True, eq=False)
class FaceDataset:
    """One split of one task: rows of an image source, each with a target.

    Args:
        spec: What the targets mean.
        split: ``train``, ``validation`` or ``test``.
        images: Where the faces are.
        rows: int64 (N,), the image of each sample.
        targets: Targets in the layout that :data:`ciao_stream.faces.task.Kind` gives for ``spec.kind``.
        source: ``real`` or ``synthetic``; synthetic data is marked so wherever it is shown.
        label_rule: How labels were made from annotations (``majority``); stands in every result.
        groups: int64 (N,) or None. Samples of one group (the frames of a clip) are judged as one: their
            outputs are averaged before any metric.
        dropped: How many samples were left out, by reason.
        subjects: str (N,) or None. Who each sample shows, where the data set tells.
        framing: ``face``: the images are cropped to the face. ``photo``: the face has to be found in them first.
        detection: None, or what a detector found when the images were cropped: ``detector``, its name; and of how many
            ``images`` there was no face in ``none`` and more than one in ``several``.

    Raises:
        DataError: The arrays do not fit each other, the spec, or the kind's range; or the split is empty.
    """

    spec: TaskSpec
    split: Split
    images: ImageSource
    rows: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64] | npt.NDArray[np.float32]
    source: Literal["real", "synthetic"]
    label_rule: str = "as annotated"
    groups: npt.NDArray[np.int64] | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    subjects: npt.NDArray[np.str_] | None = None
    framing: Framing = "face"
    detection: Mapping[str, str | int] | None = None

    def __post_init__(self) -> None:
        expect("spec", self.spec, TaskSpec)
        for name in ("rows", "targets"):
            expect(name, getattr(self, name), np.ndarray)
        where = f"task {self.spec.name!r}, split {self.split!r}"
        if len(self.rows) == 0:
            raise DataError(f"{where}: no samples; check the files and the label rule ({self.label_rule})")
        shape = (len(self.rows),) if self.spec.kind == "categorical" else (len(self.rows), self.spec.n_out)
        if self.targets.shape != shape:
            raise DataError(f"{where}: expected targets of shape {shape} but got {self.targets.shape}")
        if self.groups is not None and self.groups.shape != self.rows.shape:
            raise DataError(f"{where}: expected one group per sample but got {self.groups.shape}")
        if self.subjects is not None and self.subjects.shape != self.rows.shape:
            raise DataError(f"{where}: expected one subject per sample but got {self.subjects.shape}")
        if problem := _out_of_range(self.spec, self.targets):
            raise DataError(f"{where}: {problem}")

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, indices: npt.NDArray[np.int64] | npt.NDArray[np.bool_], split: Split | None = None) -> FaceDataset:
        """Return some of the samples: those at ``indices``, in that order and as often, or those where it is true.

        Args:
            indices: int64 (M,), or bool (N,).
            split: Which split they become; None where that stays. What was dropped stays with this one.
        """
        return replace(
            self,
            split=split or self.split,
            dropped=self.dropped if split in (None, self.split) else {},
            rows=self.rows[indices],
            targets=self.targets[indices],
            groups=None if self.groups is None else self.groups[indices],
            subjects=None if self.subjects is None else self.subjects[indices],
        )

    def name(self, index: int) -> str:
        """Say where the face of sample ``index`` stands."""
        return self.images.name(int(self.rows[index]))

    def image(self, index: int) -> Image:
        """Decode the face of sample ``index``."""
        return self.images.read(int(self.rows[index]))

    def n_judged(self) -> int:
        """Number of things that a metric judges: groups where there are any, else samples."""
        return len(self) if self.groups is None else len(np.unique(self.groups))

    def counts(self) -> dict[str, int]:
        """Samples per label, in the spec's order: per class (votes: the class with most), or with the label set.

        Dimensional tasks have no labels to count: the one entry is the number of samples.
        """
        if self.spec.kind == "dimensional":
            return {"samples": len(self)}
        if self.spec.kind == "multilabel":
            totals = self.targets.sum(axis=0)
        else:
            totals = np.bincount(self.classes(), minlength=self.spec.n_out)
        return {label: int(n) for label, n in zip(self.spec.labels, totals, strict=True)}

    def classes(self) -> npt.NDArray[np.int64]:
        """Return the class of each sample, int64 (N,); votes: the one with most votes, the first in a tie.

        Raises:
            DataError: The task has no classes.
        """
        if not self.spec.has_classes:
            raise DataError(f"task {self.spec.name!r} is {self.spec.kind}: it has no classes")
        return self.targets if self.spec.kind == "categorical" else self.targets.argmax(axis=1)  # type: ignore[return-value]

    def shares(self) -> npt.NDArray[np.float32]:
        """Return the share of votes that each class of each sample has, float32 (N, n_out).

        A class counts as all of the votes.

        Raises:
            DataError: The task has no classes.
        """
        if self.spec.kind == "votes":
            return self.targets.astype(np.float32, copy=False)
        return np.eye(self.spec.n_out, dtype=np.float32)[self.classes()]


@dataclass(frozen=True, eq=False)
class TaskData:
    """The three splits of one task. Train on ``train``, choose on ``validation``, report ``test`` once.

    Args:
        train: What is learned from.
        validation: What choices are made on.
        test: What is reported.
        protocol: How the splits were made; stands in every result.
        published: How many samples the data set's authors, or those who counted, give: in all, or per label. The key
            names a split, or several joined by ``+`` (``train+validation`` where the validation split was carved from
            the authors' training split). Groups count as one sample.
        fold: What this fold of a cross-validation holds out (``KA``); empty where there are no folds.
        folds: All folds of the cross-validation, this one among them; empty where there are none.
    """

    train: FaceDataset
    validation: FaceDataset
    test: FaceDataset
    protocol: str = "official splits"
    published: Mapping[str, int | Mapping[str, int]] = field(default_factory=dict)
    fold: str = ""
    folds: tuple[TaskData, ...] = ()

    def __post_init__(self) -> None:
        for split in self.splits():
            expect("split", split, FaceDataset)

    @classmethod
    def cross_validation(cls, folds: Sequence[TaskData]) -> TaskData:
        """Return the first fold, which knows them all."""
        return replace(folds[0], folds=tuple(folds))

    @property
    def spec(self) -> TaskSpec:
        """What the targets mean; the same for all splits."""
        return self.train.spec

    def splits(self) -> tuple[FaceDataset, FaceDataset, FaceDataset]:
        """Return the splits in the order of :data:`SPLITS`."""
        return self.train, self.validation, self.test

    @property
    def every_fold(self) -> tuple[TaskData, ...]:
        """The folds, or the task itself as the only one."""
        return self.folds or (self,)

    def of_run(self, seed: int) -> TaskData:
        """Return what run ``seed`` learns: itself, or fold ``seed`` modulo the number of folds."""
        return self.every_fold[seed % len(self.every_fold)]

    def shared_subjects(self) -> list[str] | None:
        """Return who is in train or validation and in test as well, sorted; None where nobody can tell."""
        if any(split.subjects is None for split in self.splits()):
            return None
        seen = {*self.train.subjects, *self.validation.subjects}  # type: ignore[misc]
        return sorted(str(subject) for subject in seen & {*self.test.subjects})  # type: ignore[misc]


def image_sources(splits: Iterable[FaceDataset]) -> list[ImageSource]:
    """Return the distinct image sources of some splits, in their order."""
    return list({id(split.images): split.images for split in splits}.values())


def _out_of_range(spec: TaskSpec, targets: npt.NDArray[np.generic]) -> str | None:
    """Return what is wrong with the values of ``targets``, or None."""
    if spec.kind == "categorical":
        if not np.issubdtype(targets.dtype, np.integer):
            return f"expected integer classes but got {targets.dtype}"
        bad = (targets < 0) | (targets >= spec.n_out)  # type: ignore[operator]
        return (
            f"class {targets[bad][0]} at sample {bad.argmax()}: expected 0 to {spec.n_out - 1}" if bad.any() else None
        )
    if not np.isfinite(targets).all():  # type: ignore[arg-type]
        return f"a target is not a number (sample {int((~np.isfinite(targets)).any(axis=1).argmax())})"  # type: ignore[arg-type]
    values = targets.astype(np.float64)
    if spec.kind == "votes":
        bad = (values < 0).any(axis=1) | (np.abs(values.sum(axis=1) - 1) > 1e-4)
        return f"votes of sample {bad.argmax()} are not shares that sum to 1" if bad.any() else None
    if spec.kind == "dimensional":
        bad = (np.abs(values) > 1).any(axis=1)
        return f"value of sample {bad.argmax()} lies outside [-1, 1]" if bad.any() else None
    bad = ((values != 0) & (values != 1)).any(axis=1)
    return f"label of sample {bad.argmax()} is neither 0 nor 1" if bad.any() else None
