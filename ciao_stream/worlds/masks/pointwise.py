"""A mask for wide layers: a 1x1 convolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from ciao_stream.encoders.base import LastUnit
from ciao_stream.worlds.mask import InhibitoryMask, dense_weight


class PointwiseMask(InhibitoryMask):
    """The inhibition is a 1x1 convolution of the input, average-pooled to the size of the map.

    It starts with the last convolution's weights summed over the kernel, with batch normalisation folded in, so both
    agree on a constant input. If the last convolution is 1x1, this is the full mask, with its stride and no pooling.
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
        """Return one parameter for each pair of channels, and those of a bias and of ``a``."""
        return (last.conv.in_channels + 2) * last.conv.out_channels

    def inhibit(self, x: Tensor, shape: torch.Size) -> Tensor:
        """Return the inhibition before its ReLU, (N, C, h, w)."""
        direct = x.shape[2:] == shape or self.inhibition.stride != (1, 1)
        return self.inhibition(x if direct else F.adaptive_avg_pool2d(x, (shape[0], shape[1])))


MASK = PointwiseMask
