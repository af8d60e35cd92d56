"""The inhibitory mask of CIAO.

References:
    - [0] Barros, Sciutti: CIAO! A Contrastive Adaptation Mechanism for Non-Universal Facial Expression Recognition,
      2022, https://arxiv.org/abs/2208.07221
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ciao_stream.encoder import HALF_MAX, LastConv

A_START = 0.5
"""The integration term of every channel before training, as the paper's authors set it."""

A_MIN = 1e-3
"""The integration term never falls below this, so that the mask divides by no zero."""


class CiaoMask(nn.Module):
    """Divides each value of the map by a learned inhibition: ``M = u / (a + I)`` (Eq. 1 of [0]).

    ``I = relu(conv'(z))``, where ``conv'`` has the shape of the encoder's last convolution, reads the same input and
    starts as its copy; ``a`` is learned per channel, starts at 0.5 and stays above :data:`A_MIN`. Before training
    the map is therefore ``u / (0.5 + u)``, which is not the identity. "No mask" means the raw ``u``.

    The division runs in float32 or better and every value is kept inside the range of float16, so that no finite input
    gives a NaN or an infinity.

    Args:
        last: The encoder's last convolution. It is copied, never written.
    """

    def __init__(self, last: LastConv) -> None:
        super().__init__()
        self.inhibition = last.folded()
        start = math.log(math.expm1(A_START - A_MIN))
        self.raw_a = nn.Parameter(torch.full((self.inhibition.out_channels,), start))

    @property
    def a(self) -> Tensor:
        """The integration term, (C,), all values above :data:`A_MIN`."""
        return A_MIN + F.softplus(self.raw_a)

    def forward(self, z: Tensor, u: Tensor) -> Tensor:
        """Mask a map.

        Args:
            z: Input of the last convolution, (B, in_channels, H, W).
            u: Its activated output, (B, C, h, w), values >= 0.

        Returns:
            The masked map, (B, C, h, w), values >= 0, of the type of ``u``.
        """
        wide = torch.promote_types(u.dtype, torch.float32)
        inhibition = self.inhibition(z.clamp(-HALF_MAX, HALF_MAX)).to(wide).clamp(0, HALF_MAX)
        masked = u.to(wide).clamp(max=HALF_MAX) / (self.a.view(1, -1, 1, 1) + inhibition)
        return masked.clamp(max=HALF_MAX).half() if u.dtype is torch.float16 else masked.to(u.dtype)
