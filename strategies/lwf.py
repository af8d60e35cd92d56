"""``lwf``: a shared head with learning without forgetting (Avalanche's ``LwF``).

References:
    - [0] Li, Hoiem: Learning without Forgetting, ECCV 2016, https://arxiv.org/abs/1606.09282
"""

from strategies.base import Runner

TAKES_MASK = True

ALPHA = 1.0
"""Weight of the distillation."""

TEMPERATURE = 2.0
"""Temperature of the distillation, as in [0]."""


def strategy() -> Runner:
    from strategies.base.shared_head import SharedHead, avalanche_strategy

    return SharedHead(avalanche_strategy("LwF", alpha=ALPHA, temperature=TEMPERATURE))
