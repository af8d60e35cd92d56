"""A data set replayed as a stream: one split, in its own order or shuffled, each face with its label."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from benchmarks.tasks import load_task
from ciao_stream.exceptions import CiaoError, DataError
from ciao_stream.faces.dataset import FaceDataset, Framing
from ciao_stream.faces.task import TaskSpec
from ciao_stream.stream.log.labels import target_label
from ciao_stream.stream.sources import DatasetOptions, Skipped, SourceFrame, Tell, slug

FORM = "dataset:TASK"


@dataclass(frozen=True, eq=False)
class Replay:
    """The samples of a split, a :class:`~ciao_stream.stream.sources.Source`.

    Args:
        data: The split.
        order: int64 (N,), indices of the samples in the order of their replay.
    """

    data: FaceDataset
    order: npt.NDArray[np.int64]
    place = None

    @property
    def title(self) -> str:
        """Task and split."""
        return slug(f"{self.spec.name}-{self.data.split}")

    @property
    def spec(self) -> TaskSpec:
        """The data set's task."""
        return self.data.spec

    @property
    def framing(self) -> Framing:
        """As the data set's."""
        return self.data.framing

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.order)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the images' fingerprint, and of rows, targets and people in order."""
        people = None if self.data.subjects is None else self.data.subjects.tolist()
        description = json.dumps([self.data.images.fingerprint, self.spec.to_json(), people])
        digest = hashlib.sha256(description.encode())
        for array in (self.data.rows, self.data.targets, self.order):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def frames(self, _: Tell) -> Generator[SourceFrame | Skipped, None, None]:
        """Yield the samples; one whose image is damaged is skipped."""
        for number, sample in enumerate(map(int, self.order)):
            label = target_label(self.spec, self.data.targets[sample])
            person = None if self.data.subjects is None else str(self.data.subjects[sample]) or None
            try:
                yield SourceFrame(number, self.data.image(sample), label, person=person)
            except DataError as error:
                yield Skipped(number, "unreadable", str(error))


def open_source(text: str, options: DatasetOptions) -> Replay:
    """Load a data set; no image is decoded.

    Args:
        text: A task, as in :func:`benchmarks.tasks.load_task`.
        options: Split and order.

    Raises:
        UnknownNameError: There is no such task.
        CiaoError: The data set is missing or damaged, or options contradict each other.
    """
    split = options.split or "train"
    if not text:
        raise CiaoError("source 'dataset:': expected the name of a task, such as dataset:fer")
    size = options.synthetic_size
    if size is not None and options.data_root is not None:
        raise CiaoError("--synthetic-size is for synthetic worlds: omit it, or omit --data-root")
    sizes: dict[str, int] | None = None if size is None else {split: size}
    data: FaceDataset = getattr(load_task(text, options.data_root, sizes=sizes), split)
    order = np.arange(len(data), dtype=np.int64)
    return Replay(data, order if options.shuffle is None else np.random.default_rng(options.shuffle).permutation(order))
