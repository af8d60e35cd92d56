"""The base of all masks: the division ``M = u / (a + I)`` and the limits that keep it finite.

References:
    - [0] Barros, Sciutti: CIAO! A Contrastive Adaptation Mechanism for Non-Universal Facial Expression Recognition,
      2022, https://arxiv.org/abs/2208.07221
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ciao_stream.encoders.base import HALF_MAX, LastUnit
from ciao_stream.runtime.expect import expect

A_START = 0.5
"""The integration term ``a`` of every channel before training: the value in the authors' code."""

A_MIN = 1e-3
"""Lower limit of the integration term, so that the mask never divides by zero."""


class InhibitoryMask(nn.Module, ABC):
    """Divides each value of the map by a learned inhibition: ``M = u / (a + I)`` (Eq. 1 of [0]).

    ``u``, (N, C, h, w), is the output of the last convolution after its activation, and ``x``, (N, in_channels, H, W),
    its input. ``I = relu(inhibition(x))`` has the shape of ``u``. ``a``, (C,), is learned, starts at 0.5 and stays
    above :data:`A_MIN`. Without a mask the map is ``u``. The division runs in float32 or better, and every value is
    clamped to the range of float16, so no finite input gives a NaN or an infinity. ``M`` has the signs of ``u``, which
    is >= 0 after a ReLU.

    A subclass defines :meth:`start` and :meth:`size`: see :mod:`ciao_stream.worlds.masks`.

    Args:
        last: The encoder's last convolution. It is copied, never written.
        options: Values of the settings in :attr:`options`; passed to :meth:`start`.

    Raises:
        CiaoError: ``last`` is not a last convolution.
    """

    options: ClassVar[tuple[str, ...]] = ()
    """Names of the world's settings that ``start`` and ``size`` take as keywords, each with a default."""

    def __init__(self, last: LastUnit, **options: Any) -> None:
        super().__init__()
        expect("last", last, LastUnit)
        self.inhibition = self.start(last, **options)
        self.raw_a = nn.Parameter(torch.full((last.conv.out_channels,), math.log(math.expm1(A_START - A_MIN))))

    @staticmethod
    @abstractmethod
    def start(last: LastUnit) -> nn.Module:
        """Return the trainable inhibition before training, which depends on the last convolution alone."""

    @staticmethod
    @abstractmethod
    def size(last: LastUnit) -> int:
        """Return the number of parameters of a mask on this convolution, without making it."""

    @property
    def a(self) -> Tensor:
        """The integration term, (C,): ``A_MIN + softplus(raw_a)``."""
        return A_MIN + F.softplus(self.raw_a)

    def inhibit(self, x: Tensor, shape: torch.Size) -> Tensor:  # noqa: ARG002
        """Return the inhibition before its ReLU, (N, C, h, w).

        Args:
            x: Input of the last convolution, (N, in_channels, H, W).
            shape: (h, w) of the map.
        """
        return self.inhibition(x)

    def forward(self, x: Tensor, u: Tensor) -> Tensor:
        """Mask a map.

        Args:
            x: Input of the last convolution, (N, in_channels, H, W).
            u: Its output after the activation, (N, C, h, w).

        Returns:
            The masked map, (N, C, h, w), with the signs and the dtype of ``u``.
        """
        wide = torch.promote_types(u.dtype, torch.float32)
        inhibition = self.inhibit(x.clamp(-HALF_MAX, HALF_MAX), u.shape[2:]).to(wide).clamp(0, HALF_MAX)
        masked = u.to(wide).clamp(-HALF_MAX, HALF_MAX) / (self.a.view(1, -1, 1, 1) + inhibition)
        return masked.clamp(-HALF_MAX, HALF_MAX).half() if u.dtype is torch.float16 else masked.to(u.dtype)


def dense_weight(conv: nn.Conv2d) -> Tensor:
    """Return the weight of a convolution as if it had one group, (out, in, height, width), detached."""
    weight = conv.weight.detach()
    if conv.groups == 1:
        return weight
    blocks = weight.unflatten(0, (conv.groups, -1))  # (groups, out / groups, in / groups, height, width)
    dense = weight.new_zeros(conv.groups, blocks.shape[1], conv.groups, *blocks.shape[2:])
    own = torch.arange(conv.groups)
    dense[own, :, own] = blocks
    return dense.flatten(0, 1).flatten(1, 2)


def like(conv: nn.Conv2d, weight: Tensor, groups: int) -> nn.Conv2d:
    """Return a convolution of the same kernel size, stride and padding with other input channels or groups."""
    twin = copy.deepcopy(conv)
    twin.weight = nn.Parameter(weight.contiguous())
    twin.in_channels, twin.groups = weight.shape[1] * groups, groups
    return twin
