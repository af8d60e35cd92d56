"""``full``: retrains the head and a copy of the whole encoder."""

from strategies.base import Runner

TAKES_MASK = True


def strategy() -> Runner:
    from strategies.base.per_task import PerTaskStrategy

    return PerTaskStrategy.of("full")
