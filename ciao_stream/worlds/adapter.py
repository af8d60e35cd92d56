"""What all adapters share: they stand around the encoder's last convolution and leave it as it is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from ciao_stream.encoders.base import Carry, LastUnit
from ciao_stream.worlds.settings import Settings


class Adapter(nn.Module, ABC):
    """A few parameters that change what the last convolution of a frozen encoder gives.

    The convolution is handed in with every call and is no part of the adapter: all parameters here are trained, and
    nothing else is. Before training the adapter changes nothing.

    Args:
        last: The last convolution that it is to stand around.
        settings: Of the world that it belongs to.
    """

    @abstractmethod
    def __init__(self, last: LastUnit, settings: Settings) -> None:
        super().__init__()

    @abstractmethod
    def activate(self, last: LastUnit, x: Tensor, carry: Carry) -> Tensor:
        """Return ``u`` as the adapted convolution gives it.

        Args:
            last: The convolution that the adapter was made for.
            x: Its own input, (B, in_channels, H, W).
            carry: What ``last.enter`` returned beside ``x``.

        Returns:
            (B, C, h, w), as ``last.activate`` would.
        """

    @staticmethod
    @abstractmethod
    def size(last: LastUnit, settings: Settings) -> int:
        """Return how many parameters the adapter of a last convolution has, without making it."""
