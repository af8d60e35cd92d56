"""``dl``: retrains the head only, over the frozen encoder; with a mask this is CIAO."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategies.base.sequence import Runner

TAKES_MASK = True


def strategy() -> Runner:
    """Return the strategy."""
    from strategies.base.per_task import PerTaskStrategy

    return PerTaskStrategy.of("dl")
