"""``naive``: a shared head, fine-tuned task after task, with nothing against forgetting (Avalanche's ``Naive``)."""

from strategies.base import Runner

TAKES_MASK = True


def strategy() -> Runner:
    from strategies.base.shared_head import SharedHead, avalanche_strategy

    return SharedHead(avalanche_strategy("Naive"))
