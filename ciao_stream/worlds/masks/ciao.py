"""The full inhibitory mask of CIAO.

References:
    - [0] Barros, Sciutti: CIAO! A Contrastive Adaptation Mechanism for Non-Universal Facial Expression Recognition,
      2022, https://arxiv.org/abs/2208.07221
"""

from __future__ import annotations

from torch import nn

from ciao_stream.encoders.base import LastUnit
from ciao_stream.worlds.mask import A_MIN, A_START, InhibitoryMask

__all__ = ["A_MIN", "A_START", "MASK", "CiaoMask"]


class CiaoMask(InhibitoryMask):
    """The inhibition is a convolution with the shape and the input of the encoder's last; it starts as its copy.

    So before training the masked map is ``u / (0.5 + u)``, not the identity, where ``u`` is a convolution, its batch
    normalisation and a ReLU.
    """

    @staticmethod
    def start(last: LastUnit) -> nn.Module:
        """Return a copy of the convolution with its batch normalisation folded in."""
        return last.folded()

    @staticmethod
    def size(last: LastUnit) -> int:
        """Return the parameters of the convolution, of its bias and of ``a``."""
        return last.conv.weight.numel() + 2 * last.conv.out_channels


MASK = CiaoMask
