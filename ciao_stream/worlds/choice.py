"""Chooses the world that predicts for a face when nobody names one: the world whose faces look most like it.

References:
    - [0] Lee, Lee, Lee, Shin: A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial
      Attacks, NeurIPS 2018, https://arxiv.org/abs/1807.03888 (Eq. 1, 2; worlds take the place of classes)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.statistics import LEAST, FaceStatistics, Floats
from ciao_stream.worlds.world import World

SHRINKAGE = 0.1
"""Share of its diagonal in the covariance, in [0, 1]."""

FLOOR = 1e-3
"""Least variance of a feature, as a share of the mean variance."""

TINY = 1e-12
"""Added to every variance, for features that never vary."""


class Prototype:
    """Scores each world by the distance of a face from the mean of the world's faces.

    ``score = -(x - m)^T S^-1 (x - m) / F``, with the features ``x`` of the face, the mean ``m`` of the world's features
    and the covariance ``S`` within all worlds, shrunk towards its diagonal (Eq. 2 of [0]). Worlds share the encoder,
    so scores of worlds with different labels, and of every kind of target, can be compared.

    Args:
        worlds: The worlds over one encoder, as they are now. Only those that have learned from :data:`LEAST` faces can
            be chosen.

    Raises:
        CiaoError: A world has no statistics of its faces.
    """

    def __init__(self, worlds: Sequence[World]) -> None:
        known = {}
        for world in worlds:
            if (faces := world.faces) is None:
                raise CiaoError(problem(world))
            if faces.n >= LEAST:
                known[world.spec.name] = faces
        self.names = tuple(known)
        """The worlds that can be chosen."""
        if known:
            self._whitener = _whitener([*known.values()])
            self._means = [self._white(faces.mean) for faces in known.values()]

    def scores(self, features: Floats) -> Floats:
        """Return how well each of :attr:`names` fits each face: float64 (N, worlds), <= 0, the highest fits best.

        Args:
            features: float64 (N, F), as :func:`ciao_stream.faces.statistics.pooled` returns them.
        """
        if not self.names:
            return np.zeros((len(features), 0))
        white = self._white(np.nan_to_num(features))
        return np.stack([-((white - mean) ** 2).mean(axis=1) for mean in self._means], axis=1)

    def _white(self, x: Floats) -> Floats:
        """Return features (..., F) whose covariance within worlds is the identity."""
        white: Floats = x @ self._whitener.T if self._whitener.ndim == 2 else x * self._whitener
        return white


def problem(world: World) -> str:
    """Return in one line why a world cannot be a candidate; an empty text if it can."""
    if world.faces is not None:
        return ""
    return (
        f"world {world.spec.name!r} cannot be chosen: it has no statistics of its faces; set `world.faces` "
        "(FaceStatistics.of) before it is saved, or omit it with --only"
    )


def _whitener(known: Sequence[FaceStatistics]) -> Floats:
    """Return the matrix (F, F) that whitens features; (F,) where only their variances are known."""
    scatter = np.sum([faces.scatter for faces in known], axis=0) / sum(faces.n for faces in known)
    variances = scatter if scatter.ndim == 1 else np.diag(scatter)
    least = FLOOR * variances.mean() + TINY
    if scatter.ndim == 1:
        return 1 / np.sqrt(variances + least)
    covariance = (1 - SHRINKAGE) * scatter + np.diag(SHRINKAGE * variances + least)
    white: Floats = solve_triangular(cholesky(covariance, lower=True), np.eye(len(covariance)), lower=True)
    return white
