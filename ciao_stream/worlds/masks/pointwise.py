"""A mask for wide layers whose inhibition mixes the channels of one place at a time."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from ciao_stream.encoders.base import LastUnit
from ciao_stream.worlds.mask import InhibitoryMask, dense_weight


class PointwiseMask(InhibitoryMask):
    """A mask whose inhibition is a 1x1 convolution, on the input averaged to the places of the map.

    It starts with the sum of the last convolution's taps, batch normalisation folded in: both then agree on an input
    that is the same at all places. Behind a 1x1 convolution it is the full mask, with its stride and nothing averaged.
    """

    @staticmethod
    def start(last: LastUnit) -> nn.Module:
        """Return the 1x1 convolution."""
        conv = last.folded()
        stride = conv.stride[0] if conv.kernel_size == (1, 1) else 1
        inhibition = skip_init(nn.Conv2d, conv.in_channels, conv.out_channels, 1, stride)
        inhibition.weight = nn.Parameter(dense_weight(conv).sum(dim=(2, 3), keepdim=True))
        inhibition.bias = conv.bias
        return inhibition

    @staticmethod
    def size(last: LastUnit) -> int:
        """Return one parameter for each pair of channels, a bias, and one per channel."""
        return (last.conv.in_channels + 2) * last.conv.out_channels

    def inhibit(self, x: Tensor, places: torch.Size) -> Tensor:
        """Return the inhibition before rectification, (B, C, h, w)."""
        direct = x.shape[2:] == places or self.inhibition.stride != (1, 1)
        return self.inhibition(x if direct else F.adaptive_avg_pool2d(x, (places[0], places[1])))


MASK = PointwiseMask
