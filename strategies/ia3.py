"""``ia3``: trains the decision layer and one factor for each channel of the frozen map."""

from __future__ import annotations

from strategies.base.per_task import PerTaskStrategy


class IA3(PerTaskStrategy):
    """Trains the decision layer and one factor for each channel of the frozen map."""

    scheme = "ia3"


STRATEGY = IA3
