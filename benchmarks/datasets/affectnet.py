"""AffectNet: faces from the web in the wild, one of eight expressions each.

Either release is read: that of 2017, where lists give the face's box in a photo, and that of 2021, of faces already
cut out, which is taken where both are there. The test set is not public: as everywhere, the official validation set is
what is reported, so it is the test split here, and validation is a stratified tenth of the training set. The training
set is far from balanced, the test split is balanced. Without contempt, these are the field's seven classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.datasets import _affectnet
from benchmarks.datasets._affectnet import EXPRESSIONS, AnnotatedFaces, Labelled, read_release
from benchmarks.protocols.rules import chosen_rule
from ciao_stream.faces.dataset import TaskData
from ciao_stream.faces.task import EMOTIONS, TaskSpec

RULES: tuple[str, ...] = ("8", "7")
"""Numbers of classes on offer; the first is the default."""

LAYOUT = _affectnet.LAYOUT
"""The files expected under the data root."""

TRAINING = dict(zip(EXPRESSIONS, (74_874, 134_415, 25_459, 14_090, 6_378, 3_803, 24_882, 3_750), strict=False))
"""Faces per class in the training list of 2017; in all as many as in the training set of 2021."""


def load(root: Path, rule: str | None = None) -> TaskData:
    """Load AffectNet's expressions; no image is decoded.

    Args:
        root: Folder that holds the data sets.
        rule: Number of classes, one of :data:`RULES`, None for the first. With 7, faces of contempt are left out.

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
    """Return the known counts of a release."""
    test = {"test": {label: 499 if year == 2021 and label == "contempt" else 500 for label in labels}}
    if year == 2017:
        return {"train+validation": {label: TRAINING[label] for label in labels}, **test}
    return {"train+validation": sum(TRAINING.values()), **test} if len(labels) == 8 else {**test}
