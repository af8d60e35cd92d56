"""A part of a data set: some of its faces, with an image source that holds nothing but their images."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ciao_stream.faces.dataset import FaceDataset, Image, ImageSource, TaskData
from ciao_stream.runtime.seeds import numpy_generator


@dataclass(frozen=True, eq=False)
class SomeImages:
    """Some images of a source, as a source, so that only those are prepared and cached.

    Args:
        images: The source.
        chosen: int64 (M,), indices of the images.
    """

    images: ImageSource
    chosen: npt.NDArray[np.int64]

    @property
    def fingerprint(self) -> str:
        """Digest of the source and the choice."""
        return hashlib.sha256(self.images.fingerprint.encode() + self.chosen.tobytes()).hexdigest()

    def __len__(self) -> int:
        return len(self.chosen)

    def name(self, index: int) -> str:
        """Return the name of an image."""
        return self.images.name(int(self.chosen[index]))

    def read(self, index: int) -> Image:
        """Decode an image.

        Raises:
            DataError: It is unreadable.
        """
        return self.images.read(int(self.chosen[index]))


def part(faces: FaceDataset, indices: npt.NDArray[np.int64]) -> FaceDataset:
    """Return the samples at ``indices``, int64 (M,), and only their images."""
    taken = faces.take(np.sort(indices))
    chosen, rows = np.unique(taken.rows, return_inverse=True)
    return replace(taken, images=SomeImages(taken.images, chosen), rows=rows.astype(np.int64))


def limited(task: TaskData, limit: int) -> TaskData:
    """Return a part of a task to try things out on, the same every time.

    Args:
        task: The task, with all its folds.
        limit: Most training faces of each fold. The other splits keep the same share of theirs, at least two faces.

    Returns:
        The part; its ``protocol`` says how small it is. Classes keep their shares, as far as whole faces allow, and the
        frames of a clip stay together.
    """
    folds = [_limited(fold, limit) for fold in task.every_fold]
    return TaskData.cross_validation(folds) if task.folds else folds[0]


def _limited(task: TaskData, limit: int) -> TaskData:
    share = limit / len(task.train)
    if share >= 1:
        return task
    train, validation, test = (
        _stratified(split, limit if split is task.train else max(round(share * len(split)), 2))
        for split in task.splits()
    )
    counts = f"{len(train):,} of {len(task.train):,} training faces and {len(test):,} of {len(task.test):,} test faces"
    return replace(
        task, train=train, validation=validation, test=test, protocol=f"{task.protocol}; --limit {limit}: {counts}"
    )


def _stratified(faces: FaceDataset, n: int) -> FaceDataset:
    """Draw at most ``n`` samples, whole clips, every class by its share and each class first by one."""
    if n >= len(faces):
        return faces
    order = numpy_generator(0, "limit", faces.spec.name, faces.split).permutation(len(faces))
    units = np.arange(len(faces)) if faces.groups is None else np.unique(faces.groups, return_inverse=True)[1].ravel()
    _, first, sizes = np.unique(units[order], return_index=True, return_counts=True)
    classes = faces.classes()[order[first]] if faces.spec.has_classes else np.zeros(len(first), dtype=np.int64)
    place = np.empty(len(first))
    for c in np.unique(classes):
        members = np.flatnonzero(classes == c)
        place[members[np.argsort(first[members])]] = np.arange(len(members)) / len(members)
    drawn = np.lexsort((first, place))
    kept = drawn[: max(int((np.cumsum(sizes[drawn]) <= n).sum()), 1)]
    return part(faces, np.flatnonzero(np.isin(units, kept)))
