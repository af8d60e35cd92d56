"""``lora``: trains the head and a low-rank change of the last convolution, as large as a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategies.base.sequence import Runner

TAKES_MASK = True


def strategy() -> Runner:
    """Return the strategy."""
    from strategies.base.per_task import PerTaskStrategy

    return PerTaskStrategy.of("lora")
