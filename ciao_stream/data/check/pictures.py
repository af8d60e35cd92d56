"""Every image that some data sets show, once, however many tasks, splits and folds show it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ciao_stream.faces.dataset import FaceDataset, ImageSource
from ciao_stream.faces.readers.cropped import Cropped

Ids = npt.NDArray[np.int64]


class Pictures:
    """A numbering of images: what has the same name, and the same box where it is cut out, is one picture."""

    def __init__(self) -> None:
        self.sources: list[ImageSource] = []
        self._ids: dict[str, int] = {}
        self._where: list[tuple[int, int]] = []
        self._of_source: dict[int, tuple[int, Ids]] = {}

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self._where)

    def add(self, dataset: FaceDataset) -> Ids:
        """Number the images of a split.

        Returns:
            int64 (N,), the picture of each sample.
        """
        source = dataset.images
        if id(source) not in self._of_source:
            self._of_source[id(source)] = len(self.sources), np.full(len(source), -1, dtype=np.int64)
            self.sources.append(source)
        number, ids = self._of_source[id(source)]
        for row in dataset.rows[ids[dataset.rows] < 0].tolist():
            ids[row] = self._ids.setdefault(_key(source, row), len(self._where))
            if ids[row] == len(self._where):
                self._where.append((number, row))
        return ids[dataset.rows]

    def places(self) -> npt.NDArray[np.int64]:
        """Return where each picture is read from: int64 (N, 2), index into ``sources`` and row."""
        return np.array(self._where, dtype=np.int64).reshape(-1, 2)

    def name(self, picture: int) -> str:
        """Say where a picture stands."""
        number, row = self._where[picture]
        return self.sources[number].name(row)


def _key(source: ImageSource, row: int) -> str:
    """Return what tells a picture from all others."""
    if isinstance(source, Cropped):
        return f"{_key(source.images, row)} {source.boxes[row].tolist()}"
    return source.name(row)
