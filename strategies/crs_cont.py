"""``crs-cont``: CRS-CONT's linear evaluation: one linear layer on the mean of the frozen map.

References:
    - [0] Li, Wang, Ding, Yang: CRS-CONT, IEEE TIP 31, 2022, "linear evaluation protocol"
"""

from strategies.base import Runner

TAKES_MASK = True


def strategy() -> Runner:
    from ciao_stream.worlds.settings import HeadSettings
    from strategies.base.per_task import PerTaskStrategy

    return PerTaskStrategy.of("dl", HeadSettings(pool="mean", norm="batch", hidden=(), dropout=0.0))
