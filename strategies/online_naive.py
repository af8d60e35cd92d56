"""``online-naive``: Avalanche's ``Naive`` on an online stream, with nothing against forgetting."""

from __future__ import annotations

from benchmarks.avalanche_home import avalanche_home
from strategies.base.online_avalanche import online_avalanche

with avalanche_home():
    from avalanche.training import Naive

STRATEGY = online_avalanche(Naive)
