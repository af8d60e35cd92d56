"""``ia3``: trains the head and one factor for each channel of the frozen map."""

from strategies.base import Runner

TAKES_MASK = True


def strategy() -> Runner:
    from strategies.base.per_task import PerTaskStrategy

    return PerTaskStrategy.of("ia3")
