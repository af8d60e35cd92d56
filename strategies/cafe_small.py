"""``cafe-small``: CAFE with a mask network about as large as a CIAO mask: :mod:`strategies.base.cafe`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategies.base.sequence import Runner

TAKES_MASK = False


def strategy() -> Runner:
    """Return the strategy."""
    from strategies.base.cafe import Cafe
    from strategies.base.cafe_masks import small_mask

    return Cafe(small_mask)
