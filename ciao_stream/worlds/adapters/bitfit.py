"""An adapter that trains biases alone.

References:
    - [0] Ben Zaken, Goldberg, Ravfogel: BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked
      Language-models, 2022, https://arxiv.org/abs/2106.10199
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ciao_stream.encoders.base import Carry, LastUnit
from ciao_stream.worlds.adapter import Adapter
from ciao_stream.worlds.settings import Settings


class BitFit(Adapter):
    """Adds a learned shift to each channel of the convolution, 0 before training: ``conv(x) + b``.

    This changes the convolution's bias, or adds one. With a frozen batch normalisation after it, it also changes the
    normalisation's bias, up to a fixed factor; so one number per channel is enough.
    """

    def __init__(self, last: LastUnit, settings: Settings) -> None:
        super().__init__(last, settings)
        self.shift = nn.Parameter(torch.zeros(last.conv.out_channels))

    def activate(self, last: LastUnit, x: Tensor, carry: Carry) -> Tensor:
        """Return ``u``, (N, C, h, w), of the shifted convolution."""
        y = last.conv(x)
        return last.finish(y + self.shift.to(y.dtype).view(1, -1, 1, 1), carry)

    @staticmethod
    def size(last: LastUnit, settings: Settings) -> int:  # noqa: ARG004
        """Return the number of channels of the convolution."""
        return last.conv.out_channels


ADAPTER = BitFit
