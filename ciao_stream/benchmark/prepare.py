"""From names to encoded faces: loading the tasks of a benchmark, cutting them to the face, encoding them once."""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.protocols.label_share import other_faces, some_labels
from benchmarks.tasks import load_task
from ciao_stream.benchmark.plan import Plan
from ciao_stream.encoders.base import Encoder, Level
from ciao_stream.encoders.cache import FeatureCache
from ciao_stream.encoders.encoded import EncodedFaces
from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.faces.crop import FaceCrop, crop_faces, searches
from ciao_stream.faces.dataset import FaceDataset, Split, TaskData, image_sources
from ciao_stream.faces.task import TaskSpec


def load_tasks(plan: Plan, console: Console) -> list[TaskData]:
    """Load the tasks of a plan; no image is decoded.

    Raises:
        CiaoError: A task cannot be had, is too small, bears the name of another, or cannot be balanced.
    """
    tasks = []
    for name in plan.tasks:
        with console.status(f"load {name}"):
            tasks.append(load_task(name, plan.data_root, sizes=plan.sizes()))
    names = [task.spec.name for task in tasks]
    for task, given in zip(tasks, plan.tasks, strict=True):
        if len(task.train) < 2:
            raise CiaoError(f"task {task.spec.name!r}: one face to train on; at least two are needed")
        if names.count(task.spec.name) > 1:
            raise CiaoError(f"task {given!r}: another task is named {task.spec.name!r} too; rename the folder or file")
    for name in plan.balance:
        if name not in names:
            raise UnknownNameError("task to balance", name, names)
        if not tasks[names.index(name)].spec.has_classes:
            kind = tasks[names.index(name)].spec.kind
            raise CiaoError(f"task {name!r} cannot be balanced: it is {kind} and has no classes")
    return tasks


def crop_tasks(tasks: list[TaskData], crop: FaceCrop, console: Console) -> list[TaskData]:
    """Cut the tasks' photographs to the face: see :func:`ciao_stream.faces.crop.crop_faces`."""
    cropped = []
    with progress_bars(console) as progress:
        for task in tasks:
            if total := searches(task, crop):
                bar = progress.add_task(f"find faces in {task.spec.name}", total=total)
                cropped.append(crop_faces(task, crop, functools.partial(progress.advance, bar)))
                progress.update(bar, completed=total)
            else:
                cropped.append(task)
    return cropped


def encode_tasks(
    plan: Plan, tasks: list[TaskData], encoder: Encoder, levels: list[Level], console: Console
) -> dict[str, float]:
    """Encode what is learned from and judged on; return the seconds it took per task, 0 for what was in the cache."""
    seconds, cache = {}, FeatureCache(plan.cache, plan.cache_budget)
    with progress_bars(console) as progress:
        for task in tasks:
            start = time.perf_counter()
            splits = (split for fold in task.every_fold for split in (fold.train, getattr(fold, plan.judged)))
            sources = image_sources(splits)
            missing = sum(max(cache.work(images, encoder, level) for level in levels) for images in sources)
            if missing:
                bar = progress.add_task(f"encode {task.spec.name}", total=missing)
                for images in sources:
                    for level in levels:
                        cache.get(images, encoder, level, functools.partial(progress.advance, bar))
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
        self.cache = FeatureCache(plan.cache, plan.cache_budget)
        self.mapped: dict[tuple[str, Level], npt.NDArray[Any]] = {}

    def __call__(self, spec: TaskSpec, split: Literal[Split, "judged"], level: Level) -> EncodedFaces:
        """Return the faces of a task at a level.

        Args:
            spec: The task.
            split: ``train`` (only the labelled share) or ``judged``.
            level: The level.
        """
        task = self.tasks[spec.name]
        if split == "train":
            return self._encoded(some_labels(task.train, self.plan.labels, self.seed), level)
        return self._encoded(getattr(task, self.plan.judged), level)

    def unlabelled(self, spec: TaskSpec, level: Level) -> EncodedFaces:
        """Return the training faces of a task whose labels the plan does not use.

        Raises:
            CiaoError: It uses the labels of all.
        """
        return self._encoded(other_faces(self.tasks[spec.name].train, self.plan.labels, self.seed), level)

    def _encoded(self, faces: FaceDataset, level: Level) -> EncodedFaces:
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


@contextmanager
def progress_bars(console: Console) -> Iterator[Progress]:
    """Show progress bars while the body runs."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield progress
