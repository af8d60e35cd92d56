"""``online-naive``: Avalanche's ``Naive`` on an online stream, with nothing against forgetting."""

from strategies.base import Runner

TAKES_MASK = True


def strategy() -> Runner:
    from strategies.base.online_avalanche import online_avalanche
    from strategies.base.shared_head import avalanche_strategy

    return online_avalanche(avalanche_strategy("Naive"))
