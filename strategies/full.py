"""``full``: re-trains the decision layer and a copy of the whole encoder."""

from __future__ import annotations

from strategies.base.per_task import PerTaskStrategy


class FullRetraining(PerTaskStrategy):
    """Re-trains the decision layer and a copy of the whole encoder."""

    scheme = "full"


STRATEGY = FullRetraining
