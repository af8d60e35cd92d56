"""How alike two worlds see the same faces.

References:
    - [0] Kornblith, Norouzi, Lee, Hinton: Similarity of Neural Network Representations Revisited, ICML 2019,
      https://arxiv.org/abs/1905.00414
    - [1] Song, Smola, Gretton, Bedo, Borgwardt: Feature Selection via Dependence Maximization, JMLR 13 (2012), Eq. 5
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional as F


def mean_cosine(a: Tensor, b: Tensor) -> float:
    """Return the cosine between two worlds' maps of the same face, (N, ...) each, mean over faces."""
    return float(F.cosine_similarity(a.flatten(1).double(), b.flatten(1).double()).mean())


def linear_cka(a: Tensor, b: Tensor) -> float:
    """Return the linear centred kernel alignment [0] of two representations of the same faces.

    With the unbiased estimate of HSIC [1]: maps have more numbers than there are faces, and the usual estimate would
    call any two of them alike. 1: the same but for rotation and scale; about 0: unrelated, where it may fall below 0.

    Args:
        a: (N, ...), N >= 4.
        b: (N, ...); it need not have the shape of ``a``.

    Returns:
        At most 1; NaN for fewer than four faces, or a representation that is the same for all.
    """
    if len(a) < 4:
        return float("nan")
    k, m = (_gram(x) for x in (a, b))
    itself = _hsic(k, k) * _hsic(m, m)
    return float(_hsic(k, m) / itself.sqrt()) if itself > 0 else float("nan")


def _gram(x: Tensor) -> Tensor:
    flat = x.flatten(1).double()
    centred = flat - flat.mean(dim=0)
    return centred @ centred.T


def _hsic(k: Tensor, m: Tensor) -> Tensor:
    """Eq. 5 of [1], of two Gram matrices (N, N)."""
    n = len(k)
    k, m = (x - torch.diag(x.diagonal()) for x in (k, m))
    cross = k.sum() * m.sum() / ((n - 1) * (n - 2))
    return ((k * m).sum() + cross - 2 / (n - 2) * (k.sum(0) @ m.sum(0))) / (n * (n - 3))


def rank_correlations(a: Tensor, b: Tensor) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return Spearman's correlation between the places of two maps of each face, float64 (N,).

    Args:
        a: (N, h, w).
        b: (N, h, w).

    Returns:
        In [-1, 1]; NaN where one of the two is the same everywhere.
    """
    x, y = (rankdata(m.flatten(1).double().numpy(), axis=1) for m in (a, b))
    x, y = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (x, y))
    scale = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    return np.where(scale > 0, (x * y).sum(axis=1) / np.where(scale > 0, scale, 1), np.nan)
