"""An adapter that rescales channels.

References:
    - [0] Liu, Tam, Muqeeth, Mohta, Huang, Bansal, Raffel: Few-Shot Parameter-Efficient Fine-Tuning is Better and
      Cheaper than In-Context Learning, 2022, https://arxiv.org/abs/2205.05638 (section 3.3)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ciao_stream.encoders.base import HALF_MAX, Carry, LastUnit
from ciao_stream.worlds.adapter import Adapter
from ciao_stream.worlds.settings import Settings


class IA3(Adapter):
    """Multiplies each channel of the map by a learned factor, 1 before training: ``l * u``."""

    def __init__(self, last: LastUnit, settings: Settings) -> None:
        super().__init__(last, settings)
        self.factor = nn.Parameter(torch.ones(last.conv.out_channels))

    def activate(self, last: LastUnit, x: Tensor, carry: Carry) -> Tensor:
        """Return the rescaled ``u``, (N, C, h, w), in its own dtype and clamped to the range of float16."""
        u = last.activate(x, carry)
        return (u * self.factor.view(1, -1, 1, 1)).clamp(-HALF_MAX, HALF_MAX).to(u.dtype)

    @staticmethod
    def size(last: LastUnit, settings: Settings) -> int:  # noqa: ARG004
        """Return the number of channels of the convolution."""
        return last.conv.out_channels


ADAPTER = IA3
