"""What was lost on the way, told without trusting Redis: every producer numbers its messages from 0, one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ciao_stream.exceptions import CiaoError

PRODUCERS = 1024
"""Most producers that are remembered; the one not heard for longest is forgotten first."""


@dataclass(frozen=True)
class Step:
    """What one message says about those before it.

    Args:
        lost: How many of this producer's messages, up to this one, never came.
        repeated: Whether this number, or a later one, came before: the message is not to be applied again.
    """

    lost: int = 0
    repeated: bool = False


class SequenceTracker:
    """Counts each producer's gaps and repeats.

    The convention: the first message has number 0; a number is used for one message alone and the next is sent only
    when it was accepted; a producer that starts anew takes a new name, or goes on where its source does (frame 17 of
    a data set has the same number in every replay).

    >>> tracker = SequenceTracker()
    >>> [tracker.see("camera", seq) for seq in (0, 1, 3)][-1]
    Step(lost=1, repeated=False)
    >>> tracker.see("camera", 3)
    Step(lost=0, repeated=True)
    """

    def __init__(self) -> None:
        self.lost = 0
        self.repeated = 0
        self._next: dict[str, int] = {}

    def see(self, producer: str, seq: int) -> Step:
        """Take note of a message, good or bad, and return what it says.

        Args:
            producer: Who sent it.
            seq: Its number, >= 0.
        """
        step = self.judge(producer, seq)
        self._next[producer] = max(self._next.pop(producer, 0), seq + 1)
        if len(self._next) > PRODUCERS:
            del self._next[next(iter(self._next))]
        self.lost += step.lost
        self.repeated += step.repeated
        return step

    def judge(self, producer: str, seq: int) -> Step:
        """Return what :meth:`see` would say, without taking note of the message."""
        expected = self._next.get(producer, 0)
        return Step(lost=max(0, seq - expected), repeated=seq < expected)

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain JSON values; :meth:`from_json` is its inverse."""
        return {"lost": self.lost, "repeated": self.repeated, "next": list(map(list, self._next.items()))}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> SequenceTracker:
        """Rebuild a tracker written by :meth:`to_json`.

        Raises:
            CiaoError: It is none.
        """
        tracker = cls()
        try:
            tracker.lost, tracker.repeated = int(state["lost"]), int(state["repeated"])
            tracker._next = {str(producer): int(number) for producer, number in state["next"]}
        except (KeyError, TypeError, ValueError) as error:
            raise CiaoError(f"not a sequence tracker's state: {state!s:.200}") from error
        return tracker
