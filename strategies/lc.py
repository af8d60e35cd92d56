"""``lc``: re-trains the decision layer and a copy of the last convolution."""

from __future__ import annotations

from strategies.base.per_task import PerTaskStrategy


class LastConv(PerTaskStrategy):
    """Re-trains the decision layer and a copy of the last convolution."""

    scheme = "lc"


STRATEGY = LastConv
