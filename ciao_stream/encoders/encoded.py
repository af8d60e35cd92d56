"""Encoded faces: the rows of the feature cache for one split, with their targets, in batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ciao_stream.encoders.base import Encoder, Level
from ciao_stream.encoders.cache import Advance, FeatureCache, do_nothing
from ciao_stream.faces.dataset import FaceDataset
from ciao_stream.faces.sampling import balanced
from ciao_stream.runtime.expect import expect


@dataclass(frozen=True, eq=False)
class EncodedFaces:
    """One split at one level: a map-style data set of ``(x, y)``.

    Args:
        faces: The split, with its rows and targets.
        features: Cache entry of the split's whole image source, (N, ...).
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
            ``x``, uint8 pixels or float32 features, (B, ...); and ``y``, the targets in the layout of the task's kind.
        """
        x = torch.from_numpy(self.features[self.faces.rows[indices]])
        return x if x.dtype == torch.uint8 else x.float(), torch.from_numpy(self.faces.targets[indices])

    def balanced(self, rng: np.random.Generator) -> EncodedFaces:
        """Return as many samples, drawn so that classes are equally frequent: see :mod:`ciao_stream.faces.sampling`.

        Raises:
            DataError: The task has no classes.
        """
        return EncodedFaces(self.faces.take(balanced(self.faces.classes(), rng)), self.features)

    def batches(self, batch_size: int, shuffle: np.random.Generator | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Read the whole split once, in its own order or shuffled by a generator.

        If the last batch of a shuffled pass has a single sample, it is dropped, because a contrast needs two.
        """
        order = np.arange(len(self)) if shuffle is None else shuffle.permutation(len(self))
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            if shuffle is None or len(chosen) > 1 or len(order) == 1:
                yield self.batch(chosen)


def encode(
    faces: FaceDataset, encoder: Encoder, cache: FeatureCache, level: Level, advance: Advance = do_nothing
) -> EncodedFaces:
    """Return one split at one level, encoded now or read from the cache.

    Raises:
        DataError: An image is unreadable.
        UnknownNameError: The level does not exist.
        CiaoError: The disk is full, or the features alone exceed the budget of the cache.
    """
    expect("faces", faces, FaceDataset)
    expect("encoder", encoder, Encoder)
    expect("cache", cache, FeatureCache)
    return EncodedFaces(faces, cache.get(faces.images, encoder, level, advance))
