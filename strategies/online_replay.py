"""``online-replay``: Avalanche's ``Naive`` on an online stream, with a memory kept by reservoir sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategies.base.sequence import Runner

TAKES_MASK = True


def strategy() -> Runner:
    """Return the strategy."""
    from strategies.base.online_avalanche import online_avalanche
    from strategies.base.replay import reservoir_replay

    return online_avalanche(reservoir_replay)
