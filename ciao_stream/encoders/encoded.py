"""Encoded faces: the rows of the feature cache that belong to one split, with their targets, in batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ciao_stream.encoders.base import Encoder, Level
from ciao_stream.encoders.cache import FeatureCache, Progress, no_progress
from ciao_stream.faces.dataset import FaceDataset
from ciao_stream.faces.sampling import balanced


@dataclass(frozen=True, eq=False)
class EncodedFaces:
    """One split at one level, a map-style dataset of ``(x, y)``.

    Args:
        faces: The split: its rows and targets.
        features: What the cache holds for the split's whole image source.
    """

    faces: FaceDataset
    features: npt.NDArray[Any]

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor | int]:
        x, y = self.batch(np.array([index]))
        return x[0], int(y[0]) if y.ndim == 1 else y[0]

    def batch(self, indices: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Read samples.

        Returns:
            x, uint8 for pixels and else float32, (B, ...); and y, in the layout of the task's kind.
        """
        x = torch.from_numpy(self.features[self.faces.rows[indices]])
        return x if x.dtype == torch.uint8 else x.float(), torch.from_numpy(self.faces.targets[indices])

    def draw(self, n: int, rng: np.random.Generator) -> Tensor:
        """Read ``x`` of ``n`` samples at random, none twice; of all if there are fewer."""
        return self.batch(np.sort(rng.choice(len(self), min(n, len(self)), replace=False)))[0]

    def balanced(self, rng: np.random.Generator) -> EncodedFaces:
        """Return as many samples, drawn so that every class is as frequent: see :mod:`ciao_stream.faces.sampling`.

        Raises:
            DataError: The task has no classes.
        """
        return EncodedFaces(self.faces.take(balanced(self.faces.classes(), rng)), self.features)

    def batches(self, batch_size: int, shuffle: np.random.Generator | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Read the whole split once, in its own order or in the order that a generator draws.

        Where a shuffled pass would end in a batch of a single sample, that batch is left out: it has nothing to
        contrast.
        """
        order = np.arange(len(self)) if shuffle is None else shuffle.permutation(len(self))
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            if shuffle is None or len(chosen) > 1 or len(order) == 1:
                yield self.batch(chosen)


def encode(
    faces: FaceDataset, encoder: Encoder, cache: FeatureCache, level: Level, progress: Progress = no_progress
) -> EncodedFaces:
    """Encode one split at one level, or find it in the cache.

    Raises:
        DataError: An image is unreadable.
        CiaoError: The cache has no room.
    """
    return EncodedFaces(faces, cache.get(faces.images, encoder, level, progress))
