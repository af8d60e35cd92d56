"""Coarse labels: an expression without the distinction between negative ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import FaceDataset
from ciao_stream.faces.task import TaskSpec

COARSE: tuple[str, ...] = ("positive", "negative", "neutral", "surprise")
"""The coarse labels; the authors' code names the second and the fourth, the other two follow by elimination."""

COARSE_OF: dict[str, str] = {
    "neutral": "neutral",
    "happiness": "positive",
    "surprise": "surprise",
    "sadness": "negative",
    "anger": "negative",
    "disgust": "negative",
    "fear": "negative",
    "contempt": "negative",
}
"""Which coarse label each emotion has."""

NEGATIVE = COARSE.index("negative")


def coarse_columns(spec: TaskSpec) -> npt.NDArray[np.int64]:
    """Return, for each label of a task, the index of its coarse label.

    Raises:
        CiaoError: The task has no classes, or a class that is not an emotion.
    """
    if not spec.has_classes:
        raise CiaoError(f"task {spec.name!r} is {spec.kind}: coarse labels come from classes or votes")
    if unknown := [label for label in spec.labels if label not in COARSE_OF]:
        raise CiaoError(f"task {spec.name!r}: no coarse label for {', '.join(unknown)}; known: {', '.join(COARSE_OF)}")
    return np.array([COARSE.index(COARSE_OF[label]) for label in spec.labels])


def coarse_shares(faces: FaceDataset) -> npt.NDArray[np.float32]:
    """Return how far each face bears each coarse label.

    Votes are summed over the emotions of a coarse label; a class counts as all of the votes. Nothing finer is kept.

    Args:
        faces: A split whose labels are all emotions.

    Returns:
        float32 (N, 4), rows sum to 1, in the order of :data:`COARSE`.

    Raises:
        CiaoError: As :func:`coarse_columns`.
    """
    columns = coarse_columns(faces.spec)
    fine = faces.shares()
    return np.stack([fine[:, columns == k].sum(axis=1) for k in range(len(COARSE))], axis=1).astype(np.float32)
