"""A mask for wide layers whose inhibition passes through a bottleneck.

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
"""The bottleneck has at most one channel for this many of the narrower side."""

OVERSAMPLING = 16
"""Directions beyond the rank that the approximation is computed with [1]."""


class LowRankMask(InhibitoryMask):
    """A mask whose inhibition is a 1x1 convolution to ``r`` channels, then one like the encoder's last.

    It starts as the best approximation of that rank [0] to the last convolution, read as a matrix from its input
    channels to its output channels and taps, with batch normalisation folded in; that is found, to within one percent
    of its error, by randomised subspace iteration [1] with a fixed seed.
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
        """Return the parameters of both convolutions, a bias, and one per channel."""
        return bottleneck(last, rank) * _per_rank(last) + 2 * last.conv.out_channels


def bottleneck(last: LastUnit, rank: int | None = None) -> int:
    """Return the channels of the bottleneck.

    Args:
        last: The last convolution.
        rank: So many; None: all that the default budget allows, up to one in :data:`SHARE`.

    Raises:
        CiaoError: The convolution has no such rank.
    """
    conv = last.conv
    if rank is not None:
        return within(rank, min(conv.in_channels, conv.out_channels * math.prod(conv.kernel_size)))
    most = min(conv.in_channels, conv.out_channels) // SHARE
    return max(1, min(most, (BUDGET - 2 * conv.out_channels) // _per_rank(last)))


def within(rank: int, most: int) -> int:
    """Return a rank that was asked for.

    Raises:
        CiaoError: It is larger than the last convolution's own, ``most``.
    """
    if rank > most:
        raise CiaoError(
            f"settings: rank: expected at most {most} behind this encoder's last convolution but got {rank}"
        )
    return rank


def _per_rank(last: LastUnit) -> int:
    height, width = last.conv.kernel_size
    return last.conv.in_channels + last.conv.out_channels * height * width


MASK = LowRankMask
