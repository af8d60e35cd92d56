"""Avalanche's replay, without the warning that its own plugin causes by calling a deprecated function."""

from __future__ import annotations

from typing import Any

from benchmarks.avalanche_home import avalanche_home
from strategies.base.online_avalanche import MEMORY, REHEARSED

with avalanche_home():
    from avalanche.training import Naive
    from avalanche.training.plugins import ReplayPlugin
    from avalanche.training.storage_policy import ExperienceBalancedBuffer, ReservoirSamplingBuffer

BALANCED_MEMORY = 500
"""Samples that the balanced memory keeps in all, shared evenly among the tasks seen."""


class Balanced(ExperienceBalancedBuffer):
    """Keeps equally many samples of each experience."""

    def update(self, strategy: Any, **_: Any) -> None:
        """Take samples of the experience that was just learned."""
        self.post_adapt(strategy, strategy.experience)


class Reservoir(ReservoirSamplingBuffer):
    """Keeps a uniform sample of the stream."""

    def update(self, strategy: Any, **_: Any) -> None:
        """Take samples of the experience that was just learned."""
        self.post_adapt(strategy, strategy.experience)


def balanced_replay(plugins: list[Any], **common: Any) -> Any:
    """Build Avalanche's ``Replay``: ``Naive`` with its plugin."""
    memory = Balanced(BALANCED_MEMORY, adaptive_size=True)
    return Naive(plugins=[*plugins, ReplayPlugin(BALANCED_MEMORY, storage_policy=memory)], **common)


def reservoir_replay(plugins: list[Any], **common: Any) -> Any:
    """Build ``Naive`` with Avalanche's plugin for replay and as large a memory as the streaming learner's."""
    plugin = ReplayPlugin(MEMORY, batch_size_mem=REHEARSED, storage_policy=Reservoir(MEMORY))
    return Naive(plugins=[*plugins, plugin], **common)
