"""``online``: the streaming learner's own world, with its preset and settings, on a data set read as a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategies.base.sequence import Runner

TAKES_MASK = True


def strategy() -> Runner:
    """Return the strategy."""
    from strategies.base.online_world import ONLINE_WORLD

    return ONLINE_WORLD
