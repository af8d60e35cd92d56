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
    """Shifts each channel of the bare convolution by a learned number, 0 before training: ``conv(x) + b``.

    That is a change of the convolution's bias, or a bias where it has none. Behind a frozen batch normalisation it is,
    up to a fixed factor, a change of the normalisation's bias as well, so that one number per channel is all there is.
    """

    def __init__(self, last: LastUnit, settings: Settings) -> None:
        super().__init__(last, settings)
        self.shift = nn.Parameter(torch.zeros(last.conv.out_channels))

    def activate(self, last: LastUnit, x: Tensor, carry: Carry) -> Tensor:
        """Return ``u``, (B, C, h, w), of the shifted convolution."""
        y = last.conv(x)
        return last.finish(y + self.shift.to(y.dtype).view(1, -1, 1, 1), carry)

    @staticmethod
    def size(last: LastUnit, settings: Settings) -> int:  # noqa: ARG004
        """Return the channels of the convolution."""
        return last.conv.out_channels


ADAPTER = BitFit
