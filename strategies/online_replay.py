"""``online-replay``: Avalanche's ``Naive`` on an online stream, with a memory kept by reservoir sampling."""

from __future__ import annotations

from typing import Any

from benchmarks.avalanche_home import avalanche_home
from strategies.base.online_avalanche import MEMORY, REHEARSED, online_avalanche

with avalanche_home():
    from avalanche.training import Naive
    from avalanche.training.plugins import ReplayPlugin
    from avalanche.training.storage_policy import ReservoirSamplingBuffer


class Memory(ReservoirSamplingBuffer):
    """Avalanche's memory, without the warning that its own plugin causes by calling a deprecated function."""

    def update(self, strategy: Any, **_: Any) -> None:
        """Take samples of the experience that was just learned."""
        self.post_adapt(strategy, strategy.experience)


def replay(plugins: list[Any], **common: Any) -> Any:
    """Build ``Naive`` with Avalanche's plugin for replay."""
    plugin = ReplayPlugin(MEMORY, batch_size_mem=REHEARSED, storage_policy=Memory(MEMORY))
    return Naive(plugins=[*plugins, plugin], **common)


STRATEGY = online_avalanche(replay)
