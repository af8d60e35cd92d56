"""``replay``: a shared head, fine-tuned with a memory of earlier samples (Avalanche's ``Replay``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategies.base.sequence import Runner

TAKES_MASK = True


def strategy() -> Runner:
    """Return the strategy."""
    from strategies.base.replay import balanced_replay
    from strategies.base.shared_head import SharedHead

    return SharedHead(balanced_replay)
