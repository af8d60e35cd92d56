"""``online-naive``: Avalanche's ``Naive`` on an online stream, with nothing against forgetting."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategies.base.sequence import Runner

TAKES_MASK = True


def strategy() -> Runner:
    """Return the strategy."""
    from strategies.base.online_avalanche import online_avalanche
    from strategies.base.shared_head import avalanche_strategy

    return online_avalanche(avalanche_strategy("Naive"))
