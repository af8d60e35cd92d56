"""``online``: the streaming learner's own world, with its preset and settings, on a data set read as a stream."""

from strategies.base import Runner

TAKES_MASK = True


def strategy() -> Runner:
    from strategies.base.online import ONLINE_WORLD

    return ONLINE_WORLD
