"""The base of all adapters, which change the output of the encoder's last convolution and leave it as it is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from ciao_stream.encoders.base import Carry, LastUnit
from ciao_stream.worlds.settings import Settings


class Adapter(nn.Module, ABC):
    """A few parameters that change the output of a frozen encoder's last convolution.

    The convolution is an argument of every call and not part of the adapter: exactly the parameters here are trained.
    Before training the adapter changes nothing.

    Args:
        last: The last convolution.
        settings: Settings of the adapter's world.
    """

    @abstractmethod
    def __init__(self, last: LastUnit, settings: Settings) -> None:
        super().__init__()

    @abstractmethod
    def activate(self, last: LastUnit, x: Tensor, carry: Carry) -> Tensor:
        """Return the ``u`` of the adapted convolution.

        Args:
            last: The convolution that the adapter was made for.
            x: Its own input, (N, in_channels, H, W).
            carry: What ``last.enter`` returned with ``x``.

        Returns:
            (N, C, h, w), as from ``last.activate``.
        """

    @staticmethod
    @abstractmethod
    def size(last: LastUnit, settings: Settings) -> int:
        """Return the number of parameters of the adapter on a last convolution, without making it."""
