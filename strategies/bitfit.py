"""``bitfit``: trains the head and the bias of the last convolution."""

from strategies.base import Runner

TAKES_MASK = True


def strategy() -> Runner:
    from strategies.base.per_task import PerTaskStrategy

    return PerTaskStrategy.of("bitfit")
