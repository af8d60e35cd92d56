"""A mask for wide layers: two convolutions with a bottleneck between them.

References:
    - [0] Eckart, Young: The Approximation of One Matrix by Another of Lower Rank, Psychometrika 1936
    - [1] Halko, Martinsson, Tropp: Finding Structure with Randomness, SIAM Review 2011,
      https://arxiv.org/abs/0909.4061
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.utils import skip_init

from ciao_stream.encoders.base import LastUnit
from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.seeds import seeded_torch
from ciao_stream.worlds.mask import InhibitoryMask, dense_weight, like
from ciao_stream.worlds.masks import BUDGET

SHARE = 4
"""The bottleneck has at most ``min(in_channels, out_channels) / SHARE`` channels."""

OVERSAMPLING = 16
"""Extra directions in the randomised approximation [1]."""


class LowRankMask(InhibitoryMask):
    """The inhibition is a 1x1 convolution to ``r`` channels, then one with the kernel of the encoder's last.

    It starts as the best approximation of rank ``r`` [0] to the last convolution, with batch normalisation folded in,
    seen as a matrix (in_channels, out_channels * height * width). Randomised subspace iteration [1] with a fixed seed
    finds it, to within 1 % of its error.
    """

    options = ("rank",)

    @staticmethod
    def start(last: LastUnit, rank: int | None = None) -> nn.Module:
        """Return the two convolutions."""
        conv, r = last.folded(), bottleneck(last, rank)
        dense = dense_weight(conv)  # (out, in, height, width)
        matrix = dense.transpose(0, 1).flatten(1)  # (in, out * height * width)
        with seeded_torch(0, "low-rank"):
            basis, _, _ = torch.svd_lowrank(matrix, q=min(r + OVERSAMPLING, *matrix.shape), niter=4)
        basis = basis[:, :r]  # (in, r)
        first = skip_init(nn.Conv2d, conv.in_channels, r, 1, bias=False)
        first.weight = nn.Parameter(basis.T[:, :, None, None].contiguous())
        taps = (basis.T @ matrix).unflatten(1, (dense.shape[0], *dense.shape[2:]))  # (r, out, height, width)
        return nn.Sequential(first, like(conv, taps.transpose(0, 1), groups=1))

    @staticmethod
    def size(last: LastUnit, rank: int | None = None) -> int:
        """Return the parameters of both convolutions, of a bias and of ``a``."""
        return bottleneck(last, rank) * _per_rank(last) + 2 * last.conv.out_channels


def bottleneck(last: LastUnit, rank: int | None = None) -> int:
    """Return the number of channels of the bottleneck.

    Args:
        last: The last convolution.
        rank: That number. None: as many as :data:`SHARE` and the mask budget allow, at least 1.

    Raises:
        CiaoError: It exceeds the rank of the convolution.
    """
    conv = last.conv
    if rank is not None:
        return within(rank, min(conv.in_channels, conv.out_channels * math.prod(conv.kernel_size)))
    most = min(conv.in_channels, conv.out_channels) // SHARE
    return max(1, min(most, (BUDGET - 2 * conv.out_channels) // _per_rank(last)))


def within(rank: int, most: int) -> int:
    """Return ``rank`` if it is at most ``most``.

    Raises:
        CiaoError: It is larger.
    """
    if rank > most:
        raise CiaoError(f"settings: rank: expected at most {most} for this encoder's last convolution but got {rank}")
    return rank


def _per_rank(last: LastUnit) -> int:
    height, width = last.conv.kernel_size
    return last.conv.in_channels + last.conv.out_channels * height * width


MASK = LowRankMask
