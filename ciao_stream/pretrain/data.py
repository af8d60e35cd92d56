"""The faces that an encoder is trained on: from names of tasks to pixels and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.tasks import load_task
from ciao_stream.benchmark.prepare import crop_tasks
from ciao_stream.encoders.base import Encoder
from ciao_stream.encoders.cache import FeatureCache
from ciao_stream.encoders.encoded import EncodedFaces, encode
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.crop import FaceCrop
from ciao_stream.faces.dataset import FaceDataset, TaskData
from ciao_stream.faces.part import part
from ciao_stream.pretrain.method import Batch
from ciao_stream.runtime.progress import SILENT, Progress
from ciao_stream.runtime.seeds import numpy_generator

VALIDATION_FACES = 490
"""Most faces per task for measurements and images."""


def some(faces: FaceDataset, limit: int | None, seed: int) -> FaceDataset:
    """Return at most ``limit`` samples, drawn at random, whose source holds nothing but their images."""
    if limit is None or limit >= len(faces):
        return faces
    rng = numpy_generator(seed, "some", faces.spec.name, faces.split)
    return part(faces, rng.choice(len(faces), limit, replace=False))


def load_some(
    names: Sequence[str], root: Path | None, limit: int | None, seed: int, progress: Progress = SILENT
) -> list[TaskData]:
    """Load training and validation faces of tasks, photographs cropped to the face. Test faces are not used.

    Args:
        names: Names of the tasks.
        root: Folder of the data sets; None for synthetic worlds.
        limit: Training faces per task at most; None for all.
        seed: Draws the faces, and of a cross-validation chooses the fold.
        progress: Shows the progress.

    Raises:
        CiaoError: A task cannot be loaded, or has too few faces.
    """
    found = []
    for name in names:
        data = load_task(name, root).of_run(seed)
        train, validation = some(data.train, limit, seed), some(data.validation, VALIDATION_FACES, seed)
        if min(len(train), len(validation)) < 2:
            raise CiaoError(f"task {name!r}: at least two faces to train on and two to validate with are needed")
        found.append(replace(data, train=train, validation=validation, test=validation, folds=()))
    return crop_tasks(found, FaceCrop(), progress)


def source_of(tasks: Sequence[TaskData]) -> str:
    """Return ``real``, ``synthetic``, or ``real and synthetic``."""
    return " and ".join(sorted({data.train.source for data in tasks}))


def describe(data: TaskData) -> dict[str, Any]:
    """Return what of a task was used, as JSON values."""
    return {
        "name": data.spec.name,
        "kind": data.spec.kind,
        "source": data.train.source,
        "split": "train",
        "faces": len(data.train),
        "counts": data.train.counts(),
        "label_rule": data.train.label_rule,
        "dropped": dict(data.train.dropped),
        "protocol": data.protocol,
        "fold": data.fold,
        "measured_on": {"split": "validation", "faces": len(data.validation)},
    }


@dataclass(frozen=True, eq=False)
class Faces:
    """One split of all tasks together: memory-mapped pixels, and labels.

    Args:
        parts: The split of each task, at level ``pixels``.
        labels: float32 (N, K).
    """

    parts: tuple[EncodedFaces, ...]
    labels: npt.NDArray[np.float32]

    @classmethod
    def encode(
        cls,
        splits: Sequence[FaceDataset],
        labels: npt.NDArray[np.float32],
        encoder: Encoder,
        cache: FeatureCache,
        progress: Progress = SILENT,
    ) -> Faces:
        """Prepare the pixels of a split of each task, or find them in the cache.

        Raises:
            DataError: An image is unreadable.
            CiaoError: The cache has no room.
        """
        parts = []
        for split in splits:
            work = cache.work(split.images, encoder, "pixels")
            shown = progress if work else SILENT
            with shown.bar(f"prepare {split.spec.name}, {split.split}", work) as bar:
                parts.append(encode(split, encoder, cache, "pixels", bar.advance))
        return cls(tuple(parts), labels)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: npt.NDArray[np.int64], device: torch.device) -> Batch:
        """Read samples, numbered through all tasks."""
        starts = np.cumsum([0, *map(len, self.parts)])
        homes = np.searchsorted(starts, indices, side="right") - 1
        first = self.parts[0].features
        pixels = np.empty((len(indices), *first.shape[1:]), first.dtype)
        for home in np.unique(homes):
            part = self.parts[home]
            pixels[homes == home] = part.features[part.faces.rows[indices[homes == home] - starts[home]]]
        return Batch(torch.from_numpy(pixels).to(device), torch.from_numpy(self.labels[indices]).to(device))

    def parted(self, size: int, device: torch.device) -> list[Batch]:
        """Read everything in order, in batches of at most about ``size`` and at least two faces."""
        n = min(-(-len(self) // size), len(self) // 2)
        return [self.batch(indices, device) for indices in np.array_split(np.arange(len(self)), n)]
