"""A mask for wide layers: a grouped convolution."""

from __future__ import annotations

import math

import torch
from torch import nn

from ciao_stream.encoders.base import LastUnit
from ciao_stream.worlds.mask import InhibitoryMask, dense_weight, like


class DepthwiseMask(InhibitoryMask):
    """The inhibition is the encoder's last convolution with ``gcd(in_channels, out_channels)`` groups.

    With as many input as output channels, each channel inhibits only itself. It starts with the blocks on the diagonal
    of the last convolution, with batch normalisation folded in.
    """

    @staticmethod
    def start(last: LastUnit) -> nn.Module:
        """Return the grouped convolution."""
        conv, groups = last.folded(), _groups(last)
        blocks = dense_weight(conv).unflatten(0, (groups, -1)).unflatten(2, (groups, -1))
        own = torch.arange(groups)
        return like(conv, blocks[own, :, own].flatten(0, 1), groups)

    @staticmethod
    def size(last: LastUnit) -> int:
        """Return the parameters of the blocks, of a bias and of ``a``."""
        height, width = last.conv.kernel_size
        return last.conv.out_channels * (last.conv.in_channels // _groups(last) * height * width + 2)


def _groups(last: LastUnit) -> int:
    return math.gcd(last.conv.in_channels, last.conv.out_channels)


MASK = DepthwiseMask
