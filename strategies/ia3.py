"""``ia3``: trains the head and one factor for each channel of the frozen map."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategies.base.sequence import Runner

TAKES_MASK = True


def strategy() -> Runner:
    """Return the strategy."""
    from strategies.base.per_task import PerTaskStrategy

    return PerTaskStrategy.of("ia3")
