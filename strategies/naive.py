"""``naive``: a shared head, fine-tuned task after task, with nothing against forgetting (Avalanche's ``Naive``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategies.base.sequence import Runner

TAKES_MASK = True


def strategy() -> Runner:
    """Return the strategy."""
    from strategies.base.shared_head import SharedHead, avalanche_strategy

    return SharedHead(avalanche_strategy("Naive"))
