"""What strategies share: the order of tasks, training per task, one head for all, frozen features, streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ciao_stream.encoders.base import Level
    from strategies.base.sequence import Job, Outcome


class Runner(Protocol):
    """What ``strategy()`` of a strategy's module returns; most derive from :class:`strategies.base.driver.Strategy`."""

    @property
    def also_reads(self) -> tuple[Level, ...]:
        """Levels that it reads as well as :meth:`level`."""
        ...

    def level(self, masked: bool) -> Level:
        """Return what the strategy reads, so that it can be encoded before."""
        ...

    def run(self, job: Job, masked: bool) -> Outcome:
        """Run one sequence."""
        ...
