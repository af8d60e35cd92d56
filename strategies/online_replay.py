"""``online-replay``: Avalanche's ``Naive`` on an online stream, with a memory kept by reservoir sampling."""

from strategies.base import Runner

TAKES_MASK = True


def strategy() -> Runner:
    from strategies.base.online_avalanche import online_avalanche, reservoir_replay

    return online_avalanche(reservoir_replay)
