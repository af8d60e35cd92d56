"""``cafe``: CAFE with its authors' mask network, a ResNet-18 of 11 million parameters: :mod:`strategies.base.cafe`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategies.base.sequence import Runner

TAKES_MASK = False


def strategy() -> Runner:
    """Return the strategy."""
    from strategies.base.cafe import Cafe
    from strategies.base.cafe_masks import ResNetMask

    return Cafe(ResNetMask)
