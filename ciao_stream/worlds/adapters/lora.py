"""An adapter that adds a convolution of low rank.

References:
    - [0] Hu, Shen, Wallis, Allen-Zhu, Li, Wang, Wang, Chen: LoRA: Low-Rank Adaptation of Large Language Models, 2022,
      https://arxiv.org/abs/2106.09685 (section 4.1)
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn.utils import skip_init

from ciao_stream.encoders.base import Carry, LastUnit
from ciao_stream.runtime.device import channels_last
from ciao_stream.worlds.adapter import Adapter
from ciao_stream.worlds.mask import like
from ciao_stream.worlds.masks import choose_mask, load_mask
from ciao_stream.worlds.masks.low_rank import within
from ciao_stream.worlds.settings import AUTO, Settings


class LowRankAdaptation(Adapter):
    """Adds a convolution of rank ``r`` to the last one, 0 before training: ``conv(x) + B A x``.

    ``A`` is a convolution to ``r`` channels with the kernel of the encoder's last and no bias; its weights are drawn
    uniformly in +-1 / sqrt(fan-in). ``B`` is a 1x1 convolution from there to all channels and starts at 0. The factor
    ``alpha / r`` of [0] is 1: as in the paper, ``alpha`` is not tuned, because a learning rate of Adam has that effect.
    """

    def __init__(self, last: LastUnit, settings: Settings) -> None:
        super().__init__(last, settings)
        conv, r = last.bare(), rank(last, settings)
        self.down = like(conv, conv.weight.new_empty(r, conv.in_channels, *conv.kernel_size), groups=1)
        self.down.bias, self.down.out_channels = None, r
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        self.up = skip_init(nn.Conv2d, r, conv.out_channels, 1, bias=False, device=conv.weight.device)
        nn.init.zeros_(self.up.weight)
        channels_last(self)

    def activate(self, last: LastUnit, x: Tensor, carry: Carry) -> Tensor:
        """Return ``u``, (N, C, h, w), of the sum of both convolutions."""
        return last.finish(last.conv(x) + self.up(self.down(x)), carry)

    @staticmethod
    def size(last: LastUnit, settings: Settings) -> int:
        """Return the number of weights of both convolutions."""
        return rank(last, settings) * _per_rank(last)


def rank(last: LastUnit, settings: Settings) -> int:
    """Return the rank of the settings; if that is None, the rank that makes the adapter as large as the world's mask.

    That is the largest rank with which the adapter has no more parameters than the mask of the settings; at least 1.

    Raises:
        CiaoError: The rank of the settings exceeds that of the convolution.
    """
    conv = last.conv
    most = min(conv.out_channels, conv.in_channels * math.prod(conv.kernel_size))
    if settings.rank is not None:
        return within(settings.rank, most)
    mask = choose_mask(last) if settings.mask == AUTO else settings.mask
    return max(1, min(most, load_mask(mask).size(last) // _per_rank(last)))


def _per_rank(last: LastUnit) -> int:
    return last.conv.in_channels * math.prod(last.conv.kernel_size) + last.conv.out_channels


ADAPTER = LowRankAdaptation
