"""``dl``: retrains the head only, over the frozen encoder; with a mask this is CIAO."""

from strategies.base import Runner

TAKES_MASK = True


def strategy() -> Runner:
    from strategies.base.per_task import PerTaskStrategy

    return PerTaskStrategy.of("dl")
