"""``ewc``: a shared head with elastic weight consolidation (Avalanche's ``EWC``).

References:
    - [0] Kirkpatrick et al.: Overcoming catastrophic forgetting in neural networks, PNAS 2017,
      https://arxiv.org/abs/1612.00796
"""

from __future__ import annotations

from functools import partial

from benchmarks.avalanche_home import avalanche_home
from strategies.base.shared_head import SharedHead

with avalanche_home():
    from avalanche.training import EWC

STRENGTH = 100.0
"""Factor of the quadratic penalty, lambda of [0]."""

STRATEGY = SharedHead(partial(EWC, ewc_lambda=STRENGTH))
