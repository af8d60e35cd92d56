"""``bitfit``: trains the decision layer and the bias of the last convolution."""

from __future__ import annotations

from strategies.base.per_task import PerTaskStrategy


class BitFit(PerTaskStrategy):
    """Trains the decision layer and the bias of the last convolution."""

    scheme = "bitfit"


STRATEGY = BitFit
