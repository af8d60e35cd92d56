"""``replay``: a shared head, fine-tuned with a memory of earlier samples (Avalanche's ``Replay``)."""

from __future__ import annotations

from typing import Any

from benchmarks.avalanche_home import avalanche_home
from strategies.base.shared_head import SharedHead

with avalanche_home():
    from avalanche.training import Naive
    from avalanche.training.plugins import ReplayPlugin
    from avalanche.training.storage_policy import ExperienceBalancedBuffer

MEMORY = 500
"""Samples that are kept in all, shared evenly among the tasks seen."""


class Memory(ExperienceBalancedBuffer):
    """Avalanche's memory, without the warning that its own plugin causes by calling a deprecated function."""

    def update(self, strategy: Any, **_: Any) -> None:
        """Take samples of the experience that was just learned."""
        self.post_adapt(strategy, strategy.experience)


def replay(plugins: list[Any], **common: Any) -> Any:
    """Build Avalanche's ``Replay``: plain fine-tuning with its plugin."""
    memory = Memory(MEMORY, adaptive_size=True)
    return Naive(plugins=[*plugins, ReplayPlugin(MEMORY, storage_policy=memory)], **common)


STRATEGY = SharedHead(replay)
