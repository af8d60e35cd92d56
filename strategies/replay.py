"""``replay``: a shared head, fine-tuned with a memory of earlier samples (Avalanche's ``Replay``)."""

from __future__ import annotations

from functools import partial

from benchmarks._avalanche import avalanche_home
from strategies._shared_head import SharedHead

with avalanche_home():
    from avalanche.training import Replay

MEMORY = 500
"""Samples that are kept in all, shared evenly among the tasks seen."""

STRATEGY = SharedHead(partial(Replay, mem_size=MEMORY))
