"""What the faces of a world look like to the frozen encoder: a running mean and covariance of their pooled features.

The size does not depend on the number of frames, and the values depend only on the frames and their order.

References:
    - [0] Chan, Golub, LeVeque: Updating Formulae and a Pairwise Algorithm for Computing Sample Variances, 1979
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ciao_stream.exceptions import CiaoError

Floats = npt.NDArray[np.float64]

WIDEST = 512
"""Features above which only variances are kept; the covariance of this many takes 2 MiB per world."""

LEAST = 16
"""Statistics of fewer faces describe single faces: they are not used to choose a world, and a wipe deletes them."""

BATCH = 512
"""Faces that :meth:`FaceStatistics.of` reads at a time."""


def n_features(z_shape: Sequence[int]) -> int:
    """Return the number of features of a face whose ``z`` has shape (F, h, w) or (tokens, F)."""
    return z_shape[0] if len(z_shape) == 3 else z_shape[-1]


def pooled(z: Tensor) -> Floats:
    """Return the features of some faces: the mean of stored ``z`` over positions or tokens.

    Args:
        z: (N, F, h, w), or (N, tokens, F).

    Returns:
        float64 (N, F); bit-identical for any memory layout of ``z``.
    """
    places = (2, 3) if z.ndim == 4 else (1,)
    features: Floats = z.detach().cpu().contiguous().double().mean(dim=places).numpy()
    return features


class FaceStatistics:
    """Running mean and scatter of the pooled features of the faces that a world was trained on.

    Args:
        n_features: ``F`` of ``z``, >= 1. Up to :data:`WIDEST` the scatter is a matrix, above it only its diagonal.

    >>> seen = FaceStatistics(2)
    >>> seen.update(np.array([[0.0, 1.0], [2.0, 1.0]]))
    >>> seen.n, seen.mean.tolist(), seen.scatter.tolist()
    (2, [1.0, 1.0], [[2.0, 0.0], [0.0, 0.0]])
    """

    def __init__(self, n_features: int) -> None:
        if n_features < 1:
            raise CiaoError(f"face statistics: expected n_features >= 1 but got {n_features}")
        self.n = 0
        """Faces counted."""
        self.mean: Floats = np.zeros(n_features)
        """(F,)."""
        self.scatter: Floats = np.zeros((n_features, n_features) if n_features <= WIDEST else n_features)
        """Sum of the outer products of deviations from the mean with themselves, (F, F); or of their squares, (F,)."""

    @classmethod
    def of(cls, z: npt.NDArray[Any]) -> FaceStatistics:
        """Return the statistics of cached faces at level ``z``, for a world that was trained offline.

        Args:
            z: float16 (N, F, h, w) or (N, tokens, F); a memory map is read in pieces.

        Raises:
            CiaoError: ``z`` has another shape.
        """
        if z.ndim not in (3, 4):
            raise CiaoError(f"face statistics: expected z of shape (N, F, h, w) or (N, tokens, F) but got {z.shape}")
        made = cls(n_features(z.shape[1:]))
        for start in range(0, len(z), BATCH):
            made.update(pooled(torch.from_numpy(np.array(z[start : start + BATCH]))))
        return made

    def update(self, features: Floats) -> None:
        """Add faces [0]; faces whose features are not finite are dropped.

        Args:
            features: float64 (N, F), from :func:`pooled`.

        Raises:
            CiaoError: ``features`` has another shape.
        """
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise CiaoError(
                f"face statistics: expected features of shape (N, {len(self.mean)}) but got {features.shape}"
            )
        features = features[np.isfinite(features).all(axis=1)]
        if not len(features):
            return
        mean, after = features.mean(axis=0), self.n + len(features)
        inside, apart = features - mean, mean - self.mean
        weight = self.n * len(features) / after
        if self.scatter.ndim == 2:
            self.scatter += inside.T @ inside + weight * np.outer(apart, apart)
        else:
            self.scatter += (inside**2).sum(axis=0) + weight * apart**2
        self.mean += apart * (len(features) / after)
        self.n = after

    def carried(self, most: int) -> FaceStatistics:
        """Return a copy with the weight of at most ``most`` faces, so that new faces soon outweigh it."""
        twin = FaceStatistics(len(self.mean))
        twin.n = min(self.n, most)
        if self.n:
            twin.mean, twin.scatter = self.mean.copy(), self.scatter * (twin.n / self.n)
        return twin

    def to_tensors(self) -> dict[str, Tensor]:
        """Return the state as tensors that share memory; :meth:`from_tensors` is the exact inverse."""
        return {
            "n": torch.tensor(self.n),
            "mean": torch.from_numpy(self.mean),
            "scatter": torch.from_numpy(self.scatter),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> FaceStatistics:
        """Rebuild statistics from the tensors of :meth:`to_tensors`; no memory is shared.

        Raises:
            CiaoError: A tensor is missing or unexpected, has another type or shape, or impossible values.
        """
        arrays = {name: tensor.cpu().numpy() for name, tensor in tensors.items()}
        made = cls(max(1, arrays["mean"].size) if "mean" in arrays else 1)
        for name, wanted in made.to_tensors().items():
            got = tensors.get(name)
            if got is None or got.dtype != wanted.dtype or got.shape != wanted.shape:
                found = "nothing" if got is None else f"{got.dtype} of shape {tuple(got.shape)}"
                raise CiaoError(
                    f"face statistics: {name}: expected {wanted.dtype} of shape {tuple(wanted.shape)} but got {found}"
                )
        valid = arrays["n"] >= 0 and all(np.isfinite(arrays[name]).all() for name in ("mean", "scatter"))
        if len(arrays) != 3 or not valid:
            raise CiaoError("face statistics: expected only n >= 0 and a finite mean and scatter")
        made.n, made.mean, made.scatter = int(arrays["n"]), arrays["mean"].copy(), arrays["scatter"].copy()
        return made
