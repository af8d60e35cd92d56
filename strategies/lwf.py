"""``lwf``: a shared head with learning without forgetting (Avalanche's ``LwF``).

References:
    - [0] Li, Hoiem: Learning without Forgetting, ECCV 2016, https://arxiv.org/abs/1606.09282
"""

from __future__ import annotations

from functools import partial

from benchmarks.avalanche_home import avalanche_home
from strategies.base.shared_head import SharedHead

with avalanche_home():
    from avalanche.training import LwF

ALPHA = 1.0
"""Weight of the distillation."""

TEMPERATURE = 2.0
"""Temperature of the distillation, as in [0]."""

STRATEGY = SharedHead(partial(LwF, alpha=ALPHA, temperature=TEMPERATURE))
