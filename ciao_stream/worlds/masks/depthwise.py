"""A mask for wide layers whose inhibition keeps channels apart."""

from __future__ import annotations

import math

import torch
from torch import nn

from ciao_stream.encoders.base import LastUnit
from ciao_stream.worlds.mask import InhibitoryMask, dense_weight, like


class DepthwiseMask(InhibitoryMask):
    """A mask whose inhibition is a convolution like the encoder's last in as many groups as both sides divide into.

    Where the convolution has as many inputs as outputs, each channel is inhibited by itself. It starts with the
    blocks on the diagonal of the last convolution, batch normalisation folded in.
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
        """Return the parameters of the blocks, a bias, and one per channel."""
        height, width = last.conv.kernel_size
        return last.conv.out_channels * (last.conv.in_channels // _groups(last) * height * width + 2)


def _groups(last: LastUnit) -> int:
    return math.gcd(last.conv.in_channels, last.conv.out_channels)


MASK = DepthwiseMask
