"""``joint``: a shared head, trained on all tasks at once: the best a universal reading can do (``JointTraining``)."""

from __future__ import annotations

from benchmarks.avalanche_home import avalanche_home
from strategies.base.shared_head import SharedHead

with avalanche_home():
    from avalanche.training import JointTraining

STRATEGY = SharedHead(JointTraining, at_once=True)
