"""What the trials of a task learn from and are judged on: training faces and the validation split, never test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.protocols.label_share import some_labels
from benchmarks.protocols.splits import stratified
from ciao_stream.benchmark.plan import Plan
from ciao_stream.encoders.base import Encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import FaceDataset, TaskData, image_sources
from ciao_stream.worlds.world import Scheme, level_read
from tuning.trial import EncodedImages, Ground, Member


def make_ground(
    plan: Plan, task: TaskData, encoder: Encoder, scheme: Scheme, masked: bool, folds: int, share: str
) -> Ground:
    """Return what all trials of a task share; features that are not in the cache are encoded now.

    Args:
        plan: Its ``seeds`` is the number of seeds of each trial.
        task: The task.
        encoder: The frozen encoder.
        scheme: What a world trains besides its mask.
        masked: Whether it has a mask.
        folds: Folds of the (labelled) training faces that a trial is judged on; 1 for the task's own validation split.
        share: How workers get features: ``path``, mapped from the cache's folder; ``store``, once through Ray's store.

    Raises:
        CiaoError: There are too few faces for so many folds, or the cache has no room.
    """
    members = [m for seed in range(plan.seeds) for m in _members(task.of_run(seed), plan.labels, seed, folds)]
    level = level_read(scheme, masked)
    cache = plan.feature_cache()
    features: dict[str, npt.NDArray[Any] | Path] = {}
    for images in image_sources(split for member in members for split in (member.train, member.validation)):
        mapped = cache.get(images, encoder, level)
        # A memory map's arrays are stored by Ray as what they hold; a path stays a path.
        features[images.fingerprint] = np.asarray(mapped) if share == "store" else Path(mapped.filename)  # type: ignore[attr-defined]
    return Ground(
        encoder=plan.encoder,
        fingerprint=encoder.fingerprint(),
        device=plan.device,
        scheme=scheme,
        masked=masked,
        level=level,
        members=tuple(_without_images(members)),
        features=features,
        settings=plan.settings(task.spec.name),
    )


def _members(data: TaskData, labels: float, seed: int, folds: int) -> list[Member]:
    train = some_labels(data.train, labels, seed)
    if folds == 1:
        return [Member(seed, 0, train, data.validation)]
    return [
        Member(seed, fold, train.take(~held), train.take(held, "validation"))
        for fold, held in enumerate(_held_out(train, folds))
    ]


def _held_out(train: FaceDataset, folds: int) -> list[npt.NDArray[np.bool_]]:
    """Return the samples that each fold holds out; people and clips are not split."""
    belongs = train.subjects if train.subjects is not None else train.groups
    names = [f"{number:08}" for number in range(len(train))]
    together = None if belongs is None else [str(one) for one in belongs]
    if (n := len(set(together or names))) < folds:
        what = "faces" if together is None else "people or clips"
        raise CiaoError(f"--folds {folds}: task {train.spec.name!r} has only {n} {what} to train on; use fewer folds")
    classes = train.classes() if train.spec.has_classes else np.zeros(len(train), dtype=np.int64)
    made = stratified(names, classes, Path(train.spec.name), together=together, n_folds=folds)
    held = []
    for fold in made:
        chosen = np.zeros(len(train), dtype=bool)
        chosen[fold.test] = True
        held.append(chosen)
    return held


def _without_images(members: Sequence[Member]) -> list[Member]:
    """Send workers only features, nothing that reads images."""
    placeholders: dict[int, EncodedImages] = {}

    def light(split: FaceDataset) -> FaceDataset:
        images = split.images
        encoded = placeholders.setdefault(id(images), EncodedImages(images.fingerprint, len(images)))
        return FaceDataset(
            split.spec, split.split, encoded, split.rows, split.targets, split.source, groups=split.groups
        )

    return [Member(m.seed, m.fold, light(m.train), light(m.validation)) for m in members]
