"""Sampling for classes of very different size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def balanced(classes: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw N of N samples with replacement so that each class that occurs has the same number, within one.

    Within a class every sample is drawn once before any is drawn twice; some of a large class are not drawn.

    Args:
        classes: int64 (N,), class of each sample.
        rng: Random generator.

    Returns:
        int64 (N,), indices of the samples, in random order.

    >>> drawn = balanced(np.array([0, 0, 0, 0, 0, 0, 0, 1]), np.random.default_rng(0))
    >>> np.bincount(np.array([0, 0, 0, 0, 0, 0, 0, 1])[drawn])
    array([4, 4])
    """
    present = rng.permutation(np.unique(classes))
    shares = np.full(len(present), len(classes) // len(present))
    shares[: len(classes) % len(present)] += 1
    drawn = [_cycled(np.flatnonzero(classes == c), n, rng) for c, n in zip(present, shares, strict=True)]
    return rng.permutation(np.concatenate(drawn))


def _cycled(members: npt.NDArray[np.int64], n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return ``n`` of the members, each once before any again."""
    rounds = [rng.permutation(members) for _ in range(-(-n // len(members)))]
    return np.concatenate(rounds)[:n] if rounds else members[:0]
