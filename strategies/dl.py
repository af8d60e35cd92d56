"""``dl``: re-trains the decision layer only, over the frozen encoder; with a mask this is CIAO."""

from __future__ import annotations

from strategies.base.per_task import PerTaskStrategy


class DecisionLayer(PerTaskStrategy):
    """Re-trains the decision layer only, over the frozen encoder; with a mask this is CIAO."""

    scheme = "dl"


STRATEGY = DecisionLayer
