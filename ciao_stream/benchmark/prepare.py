"""From names to encoded faces: load the tasks of a benchmark, crop them to the face, encode them once."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.protocols.label_share import some_labels
from benchmarks.tasks import load_task
from ciao_stream.benchmark.plan import Plan
from ciao_stream.encoders.base import Encoder, Level
from ciao_stream.encoders.encoded import EncodedFaces
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.crop import FaceCrop, crop_faces, searches
from ciao_stream.faces.dataset import FaceDataset, TaskData, image_sources
from ciao_stream.faces.part import limited
from ciao_stream.faces.task import TaskSpec
from ciao_stream.runtime.progress import SILENT, Progress
from strategies.base.sequence import JobSplit


def load_tasks(plan: Plan, progress: Progress = SILENT) -> list[TaskData]:
    """Load the tasks of a plan; no image is decoded.

    Raises:
        CiaoError: A task cannot be loaded, is too small, or cannot be balanced.
    """
    tasks = []
    for name in plan.tasks:
        with progress.bar(f"load {name}"):
            task = load_task(name, plan.data_root, sizes=plan.sizes())
            tasks.append(task if plan.limit is None else limited(task, plan.limit))
    for task in tasks:
        name = task.spec.name
        if len(task.train) < 2:
            raise CiaoError(f"task {name!r}: one face to train on; at least two are needed")
        if name in plan.balance and not task.spec.has_classes:
            raise CiaoError(f"task {name!r} cannot be balanced: it is {task.spec.kind} and has no classes")
    return tasks


def crop_tasks(tasks: list[TaskData], crop: FaceCrop, progress: Progress = SILENT) -> list[TaskData]:
    """Crop the tasks' photographs to the face: see :func:`ciao_stream.faces.crop.crop_faces`."""
    cropped = []
    for task in tasks:
        if total := searches(task, crop):
            with progress.bar(f"find faces in {task.spec.name}", total) as bar:
                cropped.append(crop_faces(task, crop, bar.advance))
                bar.reach(total)
        else:
            cropped.append(task)
    return cropped


def encode_tasks(
    plan: Plan, tasks: list[TaskData], encoder: Encoder, levels: list[Level], progress: Progress = SILENT
) -> dict[str, float]:
    """Encode the training faces and those that are judged; return the seconds per task, 0 if all were in the cache."""
    seconds, cache = {}, plan.feature_cache()
    for task in tasks:
        start = time.perf_counter()
        splits = (split for fold in task.every_fold for split in (fold.train, getattr(fold, plan.judge_on)))
        sources = image_sources(splits)
        missing = sum(max(cache.work(images, encoder, level) for level in levels) for images in sources)
        if missing:
            with progress.bar(f"encode {task.spec.name}", missing) as bar:
                for images in sources:
                    for level in levels:
                        cache.get(images, encoder, level, bar.advance)
        seconds[task.spec.name] = time.perf_counter() - start if missing else 0.0
    return seconds


class RunFaces:
    """The encoded faces of one run: what its strategies train on and are judged on.

    Args:
        plan: Names the split that is judged and the share of the labels.
        tasks: All tasks, encoded already; the run takes its own fold of each.
        encoder: The encoder.
        seed: The seed of the run.
    """

    def __init__(self, plan: Plan, tasks: Sequence[TaskData], encoder: Encoder, seed: int) -> None:
        self.plan = plan
        self.encoder = encoder
        self.seed = seed
        self.tasks = {task.spec.name: task.of_run(seed) for task in tasks}
        self.cache = plan.feature_cache()
        self.mapped: dict[tuple[str, Level], npt.NDArray[Any]] = {}

    def __call__(self, spec: TaskSpec, split: JobSplit, level: Level) -> EncodedFaces:
        """Return the faces of a task at a level.

        Args:
            spec: The task.
            split: ``train`` (only the labelled share) or ``judged``.
            level: The level.
        """
        task = self.tasks[spec.name]
        if split == "train":
            faces = some_labels(task.train, self.plan.labels, self.seed)
        else:
            faces = getattr(task, self.plan.judge_on)
        key = faces.images.fingerprint, level
        if key not in self.mapped:
            self.mapped[key] = self.cache.get(faces.images, self.encoder, level)
        return EncodedFaces(faces, self.mapped[key])


def data_sha256(task: TaskData) -> list[str]:
    """Return a digest of the images, rows, targets and groups of each split, fold after fold."""
    return [_split_sha256(split) for fold in task.every_fold for split in fold.splits()]


def _split_sha256(split: FaceDataset) -> str:
    digest = hashlib.sha256(split.images.fingerprint.encode())
    for array in (split.rows, split.targets, *(() if split.groups is None else (split.groups,))):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
