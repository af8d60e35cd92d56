"""``naive``: a shared head, fine-tuned task after task, with nothing against forgetting (Avalanche's ``Naive``)."""

from __future__ import annotations

from benchmarks.avalanche_home import avalanche_home
from strategies.base.shared_head import SharedHead

with avalanche_home():
    from avalanche.training import Naive

STRATEGY = SharedHead(Naive)
