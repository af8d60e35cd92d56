"""Tasks with the classes that all of them have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import FaceDataset, TaskData
from ciao_stream.faces.task import EMOTIONS, TaskSpec

COMMON: tuple[str, ...] = EMOTIONS[:7]
"""The classes that are learned and answered: all emotions but contempt."""


def with_common_classes(tasks: Sequence[TaskData]) -> list[TaskData]:
    """Return tasks that all have the classes :data:`COMMON`, in that order.

    Classes are mapped by name. A face of another class is dropped, and counted under ``dropped``. Votes for other
    classes are removed from a face's shares, which then sum to 1 again.

    Args:
        tasks: At least two.

    Raises:
        CiaoError: A task has no classes, or only one of the common ones, or no face of them in a split.
    """
    if len(tasks) < 2:
        names = ", ".join(task.spec.name for task in tasks)
        raise CiaoError(f"suite generalise trains on one task and tests on the others: {names} alone is not enough")
    if barred := [f"{task.spec.name} is {task.spec.kind}" for task in tasks if not task.spec.has_classes]:
        raise CiaoError(f"suite generalise needs tasks with classes: omit those without ({'; '.join(barred)})")
    for spec in (task.spec for task in tasks):
        if len(set(COMMON) & {*spec.labels}) < 2:
            own = ", ".join(spec.labels)
            raise CiaoError(f"task {spec.name!r} has too few of the classes {', '.join(COMMON)}: its own are {own}")
    return [_reduced(task) for task in tasks]


def _reduced(task: TaskData) -> TaskData:
    train, validation, test = map(_common_faces, task.splits())
    if len(train) < 2:
        raise CiaoError(f"task {task.spec.name!r}: one face of the common classes to train on; two are needed")
    folds = tuple(map(_reduced, task.folds))
    return replace(task, train=train, validation=validation, test=test, folds=folds)


def _common_faces(split: FaceDataset) -> FaceDataset:
    """Return a split's faces of the common classes."""
    labels = split.spec.labels
    place = np.array([COMMON.index(label) if label in COMMON else -1 for label in labels])
    common, classes = place >= 0, split.classes()
    kept = common[classes]
    if not kept.any():
        where = f"task {split.spec.name!r}, split {split.split!r}"
        raise CiaoError(f"{where}: none of the {len(split)} faces is of the classes {', '.join(COMMON)}")
    others = {label: int((classes == i).sum()) for i, label in enumerate(labels) if not common[i]}
    dropped = {f"{label}: no common class": n for label, n in others.items() if n}
    rest = split.take(kept)
    rule = split.label_rule
    if split.spec.kind == "categorical":
        targets = place[rest.classes()]
    else:
        shares = np.zeros((len(rest), len(COMMON)), dtype=np.float64)
        shares[:, place[common]] = rest.targets[:, common]
        targets = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
        rule = f"{rule}, of the votes for common classes"
    spec = TaskSpec(split.spec.name, split.spec.kind, COMMON)
    return replace(rest, spec=spec, targets=targets, label_rule=rule, dropped={**split.dropped, **dropped})
