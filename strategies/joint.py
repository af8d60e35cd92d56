"""``joint``: a shared head, trained on all tasks at once: the best for one head (Avalanche's ``JointTraining``)."""

from strategies.base import Runner

TAKES_MASK = True


def strategy() -> Runner:
    from strategies.base.shared_head import SharedHead, avalanche_strategy

    return SharedHead(avalanche_strategy("JointTraining"), at_once=True)
