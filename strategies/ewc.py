"""``ewc``: a shared head with elastic weight consolidation (Avalanche's ``EWC``).

References:
    - [0] Kirkpatrick et al.: Overcoming catastrophic forgetting in neural networks, PNAS 2017,
      https://arxiv.org/abs/1612.00796
"""

from strategies.base import Runner

TAKES_MASK = True

STRENGTH = 100.0
"""Factor of the quadratic penalty, lambda of [0]."""


def strategy() -> Runner:
    from strategies.base.shared_head import SharedHead, avalanche_strategy

    return SharedHead(avalanche_strategy("EWC", ewc_lambda=STRENGTH))
