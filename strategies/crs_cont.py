"""``crs-cont``: CRS-CONT's linear evaluation: one linear layer on the mean of the frozen map.

References:
    - [0] Li, Wang, Ding, Yang: CRS-CONT, IEEE TIP 31, 2022, "linear evaluation protocol"
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ciao_stream.worlds.settings import Settings
    from strategies.base.sequence import Runner

TAKES_MASK = True


def strategy() -> Runner:
    """Return the strategy."""
    from ciao_stream.worlds.settings import HeadSettings
    from strategies.base.per_task import PerTaskStrategy

    class LinearEvaluation(PerTaskStrategy):
        """Trains one linear layer per task over the frozen encoder."""

        scheme = "dl"

        @classmethod
        def settled(cls, settings: Settings) -> Settings:
            """Return the settings with a head of one linear layer on normalised means."""
            return replace(settings, head=HeadSettings(pool="mean", norm="batch", hidden=(), dropout=0.0))

    return LinearEvaluation
