"""AffectNet: faces from the web, one of eight expressions each.

Two releases can be read: that of 2017, whose lists give the face's box in a photo, and that of 2021, of cropped faces,
which is preferred. The test set is not public. As in the literature, results are reported on the official validation
set, so it is the test split here, and validation is a stratified tenth of the training set. The training set is far
from balanced, the test split is balanced. Rule ``7`` drops contempt.

AffectNet's two tasks take their rows from one image source per official set, and hold out the same faces for
validation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from benchmarks.datasets._affectnet_2017 import read_2017
from benchmarks.datasets._affectnet_2021 import read_2021
from benchmarks.names import chosen_rule
from benchmarks.protocols.splits import hold_out
from ciao_stream.exceptions import DataError
from ciao_stream.faces.dataset import FaceDataset, ImageSource, Split, TaskData
from ciao_stream.faces.readers.folders import find, missing
from ciao_stream.faces.task import EMOTIONS, TaskSpec

RULES: tuple[str, ...] = ("8", "7")
"""Numbers of classes; the first is the default."""

LAYOUT = (
    "ROOT/affectnet/{train_set,val_set}/images/ID.jpg and annotations/ID_{exp,val,aro}.npy (2021, preferred) "
    "or ROOT/affectnet/Manually_Annotated_file_lists/{training,validation}.csv "
    "and ROOT/affectnet/Manually_Annotated_Images/* (2017)"
)
"""The files expected under the data root."""

EXPRESSIONS = (
    "neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt", "none", "uncertain",
    "no face",
)  # fmt: skip
"""Names of the codes of expressions, from 0; the last three are not emotions."""

TRAINING = dict(zip(EXPRESSIONS, (74_874, 134_415, 25_459, 14_090, 6_378, 3_803, 24_882, 3_750), strict=False))
"""Faces per class in the training list of 2017; the training set of 2021 has the same total."""

NOT_APPLICABLE = -2
"""Valence and arousal of faces that were not rated."""

PROTOCOL = "official training and validation set, reported on the latter; validation carved from training"


class AnnotatedFaces(Protocol):
    """The N faces of one official set, of either release."""

    @property
    def images(self) -> ImageSource:
        """The N faces."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each face, unique."""
        ...

    @property
    def expressions(self) -> npt.NDArray[np.float64]:
        """float64 (N,), index into :data:`EXPRESSIONS`."""
        ...

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """float64 (N, 2), arousal and valence: in [-1, 1], or :data:`NOT_APPLICABLE`."""
        ...

    @property
    def dropped(self) -> dict[str, int]:
        """How many annotated faces were dropped, by reason."""
        ...

    def where(self, row: int, column: str) -> str:
        """Return the file and line of a value, for errors."""
        ...


@dataclass(frozen=True, eq=False)
class Labelled:
    """The targets of one task for some faces.

    Args:
        targets: Targets of shape (N, ...); arbitrary for dropped faces.
        dropped: bool (N,) by reason: the faces dropped for it; no face for two reasons.
    """

    targets: npt.NDArray[np.int64] | npt.NDArray[np.float32]
    dropped: Mapping[str, npt.NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class Release:
    """AffectNet as it is on disk.

    Args:
        year: 2017 or 2021.
        training: The official training set.
        validation: The official validation set; it is the test split here, because the test set is not public.
    """

    year: int
    training: AnnotatedFaces
    validation: AnnotatedFaces

    def task(
        self,
        spec: TaskSpec,
        label_rule: str,
        label: Callable[[AnnotatedFaces], Labelled],
        published: Mapping[str, int | Mapping[str, int]],
    ) -> TaskData:
        """Return a task of the faces that have a label for it.

        Validation is a tenth of all training faces, stratified by expression: the same faces for every task.
        """
        train, held = hold_out(self.training.names, self.training.expressions.astype(np.int64))
        learned, tested = label(self.training), label(self.validation)
        everyone = np.arange(len(self.validation.names))

        def dataset(
            split: Split,
            faces: AnnotatedFaces,
            labelled: Labelled,
            rows: npt.NDArray[np.int64],
            dropped: dict[str, int],
        ) -> FaceDataset:
            counted = {reason: int(mask[rows].sum()) for reason, mask in labelled.dropped.items()}
            kept = rows[~np.any([mask[rows] for mask in labelled.dropped.values()], axis=0)]
            return FaceDataset(
                spec, split, faces.images, kept, labelled.targets[kept], "real", label_rule,
                dropped={**dropped, **{reason: n for reason, n in counted.items() if n}},
            )  # fmt: skip

        return TaskData(
            dataset("train", self.training, learned, train, self.training.dropped),
            dataset("validation", self.training, learned, held, {}),
            dataset("test", self.validation, tested, everyone, self.validation.dropped),
            PROTOCOL,
            published,
        )


def read_release(task: str, root: Path) -> Release:
    """Read the annotations of the release that is found, preferably that of 2021; no image is opened.

    Raises:
        MissingDataError: Neither release is found.
        DataError: A release is incomplete or damaged.
    """
    folder = find(root, "affectnet")
    if folder is not None:
        readers: dict[int, Callable[[Path], tuple[AnnotatedFaces, AnnotatedFaces] | None]]
        readers = {2021: read_2021, 2017: read_2017}
        for year, read in readers.items():
            if (sets := read(folder)) is not None:
                for faces in sets:
                    _check(faces)
                return Release(year, *sets)
    raise missing(task, "no train_set (2021) and no training.csv (2017)", root, LAYOUT, [folder])


def _check(faces: AnnotatedFaces) -> None:
    """Raise DataError if an expression is not a known code, or a value is out of range."""
    unknown = ~np.isin(faces.expressions, np.arange(len(EXPRESSIONS)))
    if unknown.any():
        row = int(unknown.argmax())
        codes = ", ".join(f"{code} {name}" for code, name in enumerate(EXPRESSIONS))
        raise DataError(f"{faces.where(row, 'expression')} {faces.expressions[row]:g}; expected one of {codes}")
    outside = ~((np.abs(faces.values) <= 1) | (faces.values == NOT_APPLICABLE))
    if outside.any():
        row, column = (int(place) for place in np.argwhere(outside)[0])
        where = faces.where(row, ("arousal", "valence")[column])
        raise DataError(
            f"{where} {faces.values[row, column]!s:.30}; expected -1 to 1, or {NOT_APPLICABLE} if not rated"
        )


def load(root: Path, rule: str | None = None) -> TaskData:
    """Load AffectNet's expressions; no image is decoded.

    Args:
        root: Folder that holds the data sets.
        rule: Number of classes, one of :data:`RULES`, None for the first. With 7, faces of contempt are dropped.

    Returns:
        Three splits with classes in canonical order; the images are uint8, of any size.

    Raises:
        DataError: The files are missing or damaged.
        UnknownNameError: There is no such rule.
    """
    rule = chosen_rule(rule, RULES)
    spec = TaskSpec("affectnet", "categorical", EMOTIONS[: int(rule)])
    release = read_release(spec.name, root)

    def label(faces: AnnotatedFaces) -> Labelled:
        codes = faces.expressions.astype(np.int64)
        classes = np.array([spec.labels.index(name) if name in spec.labels else -1 for name in EXPRESSIONS])
        return Labelled(
            classes[codes],
            {name: codes == code for code, name in enumerate(EXPRESSIONS) if name not in spec.labels},
        )

    return release.task(spec, f"{rule} classes", label, _published(release.year, spec.labels))


def _published(year: int, labels: tuple[str, ...]) -> dict[str, int | Mapping[str, int]]:
    """Return the published counts of a release."""
    test = {"test": {label: 499 if year == 2021 and label == "contempt" else 500 for label in labels}}
    if year == 2017:
        return {"train+validation": {label: TRAINING[label] for label in labels}, **test}
    return {"train+validation": sum(TRAINING.values()), **test} if len(labels) == 8 else {**test}
