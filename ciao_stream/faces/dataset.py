"""Faces with targets, read lazily: the interface between data sets and everything that trains on them."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from ciao_stream.exceptions import CiaoError, DataError, UnknownNameError
from ciao_stream.faces.task import TaskSpec
from ciao_stream.runtime.expect import described, expect

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

Framing = Literal["face", "photo"]
Source = Literal["real", "synthetic"]

Image = npt.NDArray[np.uint8]
"""One image: uint8, (height, width) gray or (height, width, 3) in RGB order."""


class ImageSource(Protocol):
    """An ordered set of images that are read one at a time; nothing is decoded before :meth:`read`.

    Several data sets may share one source (FER and FER+ do), so its images are encoded once.
    """

    @property
    def fingerprint(self) -> str:
        """Hex digest that changes whenever any image, or the order of the images, changes."""
        ...

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """Return the file of image ``index``, or the file and line, for errors and reports."""
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
        images: Source of the images.
        rows: int64 (N,), the image of each sample.
        targets: Targets, with the dtype, shape and range in the table of :data:`ciao_stream.faces.task.Kind`.
        source: ``real`` or ``synthetic``; synthetic data is marked in all outputs.
        label_rule: How labels were made from annotations (``majority``); recorded with every result.
        groups: int64 (N,) or None. Samples of one group (the frames of a clip) are evaluated as one: their
            outputs are averaged before any metric.
        dropped: How many samples were dropped, by reason.
        subjects: str (N,) or None. The person in each sample, if known.
        framing: ``face``: the images are cropped to the face. ``photo``: the face must be detected first.
        detection: None, or the results of cropping: ``detector`` (its name), ``images`` (their number), ``none``
            (images without a face) and ``several`` (images with more than one).

    Raises:
        CiaoError: An argument has a wrong type or value.
        DataError: The arrays do not match each other, the spec or the range of its kind; or the split is empty.
    """

    spec: TaskSpec
    split: Split
    images: ImageSource
    rows: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64] | npt.NDArray[np.float32]
    source: Source
    label_rule: str = "as annotated"
    groups: npt.NDArray[np.int64] | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    subjects: npt.NDArray[np.str_] | None = None
    framing: Framing = "face"
    detection: Mapping[str, str | int] | None = None

    def __post_init__(self) -> None:
        self._check_types()
        where = self._where
        if len(self.rows) == 0:
            raise DataError(f"{where}: no samples; check the files and the label rule ({self.label_rule})")
        shape = (len(self.rows),) if self.spec.kind == "categorical" else (len(self.rows), self.spec.n_out)
        if self.targets.shape != shape:
            raise DataError(f"{where}: expected targets of shape {shape} but got {self.targets.shape}")
        for what, given in (("group", self.groups), ("subject", self.subjects)):
            if given is not None and given.shape != self.rows.shape:
                raise DataError(f"{where}: expected one {what} per sample but got {given.shape}")
        if problem := out_of_range(self.spec, self.targets):
            raise DataError(f"{where}: {problem}")
        if not hasattr(self.images, "read"):
            raise CiaoError(f"{where}: images: expected an ImageSource but got {described(self.images)}")

    @property
    def _where(self) -> str:
        return f"task {self.spec.name!r}, split {self.split!r}"

    def _check_types(self) -> None:
        """Raise a CiaoError for an argument of another type, or a name that does not exist."""
        expect("spec", self.spec, TaskSpec)
        choices = {"split": SPLITS, "source": get_args(Source), "framing": get_args(Framing)}
        for what, known in choices.items():
            if getattr(self, what) not in known:
                raise UnknownNameError(what, getattr(self, what), known)
        for what in ("rows", "targets"):
            expect(what, getattr(self, what), np.ndarray)
        for what in ("groups", "subjects"):
            expect(what, getattr(self, what), np.ndarray, type(None))
        if self.rows.ndim != 1:
            raise CiaoError(f"{self._where}: expected rows of shape (N,) but got {self.rows.shape}")

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.rows)

    def take(self, indices: npt.NDArray[np.int64] | npt.NDArray[np.bool_], split: Split | None = None) -> FaceDataset:
        """Return some of the samples: those at ``indices``, in this order, or those where it is true.

        Args:
            indices: int64 (M,) with values in [-N, N), repeats allowed; or bool (N,).
            split: The split that they become; None for the same one. Another split has no ``dropped``.

        Raises:
            CiaoError: There is no such sample.
        """
        try:
            rows = self.rows[indices]
        except IndexError:
            raise CiaoError(
                f"{self._where}: expected indices in [0, {len(self)}) or a mask of {len(self)} booleans"
            ) from None
        return replace(
            self,
            split=split or self.split,
            dropped=self.dropped if split in (None, self.split) else {},
            rows=rows,
            targets=self.targets[indices],
            groups=None if self.groups is None else self.groups[indices],
            subjects=None if self.subjects is None else self.subjects[indices],
        )

    def name(self, index: int) -> str:
        """Return the file of sample ``index``, or the file and line."""
        return self.images.name(self._row(index))

    def image(self, index: int) -> Image:
        """Decode the image of sample ``index``.

        Raises:
            CiaoError: There is no such sample.
            DataError: The image is unreadable.
        """
        return self.images.read(self._row(index))

    def _row(self, index: int) -> int:
        try:
            return int(self.rows[operator.index(index)])
        except (TypeError, IndexError):
            raise CiaoError(f"{self._where}: no sample {index!r}; expected an integer in [0, {len(self)})") from None

    def n_judged(self) -> int:
        """Number of samples that metrics count: groups if there are any, else samples."""
        return len(self) if self.groups is None else len(np.unique(self.groups))

    def counts(self) -> dict[str, int]:
        """Samples per label, in the spec's order: per class (votes: the class with most), or with the label set.

        For dimensional tasks the only entry is the number of samples.
        """
        if self.spec.kind == "dimensional":
            return {"samples": len(self)}
        if self.spec.kind == "multilabel":
            totals = self.targets.sum(axis=0)
        else:
            totals = np.bincount(self.classes(), minlength=self.spec.n_out)
        return {label: int(n) for label, n in zip(self.spec.labels, totals, strict=True)}

    def classes(self) -> npt.NDArray[np.int64]:
        """Return the class of each sample, int64 (N,); votes: the class with most votes, the first in a tie.

        Raises:
            DataError: The task has no classes.
        """
        if not self.spec.has_classes:
            raise DataError(f"task {self.spec.name!r} is {self.spec.kind}: it has no classes")
        return self.targets if self.spec.kind == "categorical" else self.targets.argmax(axis=1)  # type: ignore[return-value]

    def shares(self) -> npt.NDArray[np.float32]:
        """Return the share of votes of each class, float32 (N, n_out); for categorical tasks one-hot.

        Raises:
            DataError: The task has no classes.
        """
        if self.spec.kind == "votes":
            return self.targets.astype(np.float32, copy=False)
        return np.eye(self.spec.n_out, dtype=np.float32)[self.classes()]


@dataclass(frozen=True, eq=False)
class TaskData:
    """The three splits of one task. Train on ``train``, choose on ``validation``, report on ``test`` once.

    Args:
        train: Training split.
        validation: Validation split.
        test: Test split.
        protocol: How the splits were made; recorded with every result.
        published: Published number of samples, in all or per label. The key is a split, or several joined by ``+``
            (``train+validation`` if the validation split was carved from the authors' training split). A group counts
            as one sample.
        fold: What this fold of a cross-validation holds out (``KA``); empty without folds.
        folds: All folds of the cross-validation, including this one; empty without folds.

    Raises:
        CiaoError: A split is not a :class:`FaceDataset`.
    """

    train: FaceDataset
    validation: FaceDataset
    test: FaceDataset
    protocol: str = "official splits"
    published: Mapping[str, int | Mapping[str, int]] = field(default_factory=dict)
    fold: str = ""
    folds: tuple[TaskData, ...] = ()

    def __post_init__(self) -> None:
        for split in SPLITS:
            expect(split, getattr(self, split), FaceDataset)

    @classmethod
    def cross_validation(cls, folds: Sequence[TaskData]) -> TaskData:
        """Return the first fold, with all of them in ``folds``.

        Raises:
            CiaoError: There are no folds.
        """
        if not folds:
            raise CiaoError("expected at least one fold but got none")
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
        """Return the data of run ``seed``: the task itself, or fold ``seed`` modulo the number of folds."""
        return self.every_fold[seed % len(self.every_fold)]

    def shared_subjects(self) -> list[str] | None:
        """Return the people in both test and train or validation, sorted; None if subjects are unknown."""
        if any(split.subjects is None for split in self.splits()):
            return None
        seen = {*self.train.subjects, *self.validation.subjects}  # type: ignore[misc]
        return sorted(str(subject) for subject in seen & {*self.test.subjects})  # type: ignore[misc]


def check_image(image: Image) -> None:
    """Check the type and shape of an image.

    Raises:
        CiaoError: It is not uint8 of shape (height, width) or (height, width, 3), with at least one pixel.
    """
    expect("image", image, np.ndarray)
    if image.dtype != np.uint8 or not image.size or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        raise CiaoError(f"image: expected uint8 of shape (H, W) or (H, W, 3) but got {image.dtype} of {image.shape}")


def image_sources(splits: Iterable[FaceDataset]) -> list[ImageSource]:
    """Return the distinct image sources of some splits, in order."""
    return list({id(split.images): split.images for split in splits}.values())


def out_of_range(spec: TaskSpec, targets: npt.NDArray[np.generic]) -> str | None:
    """Return what is wrong with the values of targets of the right shape, or None."""
    if spec.kind == "categorical":
        if not np.issubdtype(targets.dtype, np.integer):
            return f"expected integer classes but got {targets.dtype}"
        bad = (targets < 0) | (targets >= spec.n_out)  # type: ignore[operator]
        return (
            f"class {targets[bad][0]} at sample {bad.argmax()}: expected 0 to {spec.n_out - 1}" if bad.any() else None
        )
    if not np.issubdtype(targets.dtype, np.number):
        return f"expected numbers as targets but got {targets.dtype}"
    if not np.isfinite(targets).all():  # type: ignore[arg-type]
        return f"a target is not a number (sample {int((~np.isfinite(targets)).any(axis=1).argmax())})"  # type: ignore[arg-type]
    values = targets.astype(np.float64)
    if spec.kind == "votes":
        bad = (values < 0).any(axis=1) | (np.abs(values.sum(axis=1) - 1) > 1e-4)
        return f"votes of sample {bad.argmax()} are not shares that sum to 1" if bad.any() else None
    if spec.kind == "dimensional":
        bad = (np.abs(values) > 1).any(axis=1)
        return f"value of sample {bad.argmax()} is outside [-1, 1]" if bad.any() else None
    bad = ((values != 0) & (values != 1)).any(axis=1)
    return f"label of sample {bad.argmax()} is neither 0 nor 1" if bad.any() else None
