"""Counters of a follower: entries read, refused, lost and repeated; saved with every checkpoint.

Losses are counted without trusting Redis: every producer numbers its messages 0, 1, 2, ...
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.log.keys import START
from ciao_stream.stream.log.messages import Origin
from ciao_stream.stream.log.refusals import Reason

PRODUCERS = 1024
"""Maximum number of producers to remember; the least recently seen one is evicted first."""

INCIDENTS = 50
"""Maximum number of incidents to keep; the oldest are dropped first."""

OTHERS = "(others)"
"""Key of the losses of all producers beyond the first :data:`PRODUCERS`."""


@dataclass(frozen=True)
class Step:
    """What the number of one message shows.

    Args:
        lost: Messages of this producer between the previous one and this one that never came.
        repeated: Whether this number, or a later one, came before: the message must not be applied again.
    """

    lost: int = 0
    repeated: bool = False


class SequenceTracker:
    """Counts gaps and repeats in each producer's numbers.

    The convention: the first message has number 0. A number belongs to one message, and the next number is used only
    after that message was accepted. A producer that starts from the beginning takes a new name, or resumes where its
    source resumes (frame 17 of a data set has the same number in every replay).

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
        """Record a message, good or bad, and return what its number shows.

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
        """Return what :meth:`see` would return, without recording the message."""
        expected = self._next.get(producer, 0)
        return Step(lost=max(0, seq - expected), repeated=seq < expected)

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain JSON values; :meth:`from_json` is its inverse."""
        return {"lost": self.lost, "repeated": self.repeated, "next": list(map(list, self._next.items()))}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> SequenceTracker:
        """Rebuild a tracker written by :meth:`to_json`.

        Raises:
            CiaoError: The value is not the state of a tracker.
        """
        tracker = cls()
        try:
            tracker.lost, tracker.repeated = int(state["lost"]), int(state["repeated"])
            tracker._next = {str(producer): int(number) for producer, number in state["next"]}
        except (KeyError, TypeError, ValueError) as error:
            raise CiaoError(f"not a sequence tracker's state: {state!s:.200}") from error
        return tracker


class Mark(NamedTuple):
    """How much of the stream had been read when a checkpoint was written."""

    position: str
    entries: int
    n_bytes: int


class Counters:
    """Counters over the whole life of one learner; :meth:`to_json` and :meth:`from_json` carry them across restarts."""

    def __init__(self) -> None:
        self.tracker = SequenceTracker()
        self.entries = 0
        self.n_bytes = 0
        self.frames = 0
        self.passed_over = 0
        self.refused: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.incidents: list[dict[str, Any]] = []
        self.first = Mark(START, 0, 0)
        self.marks: list[Mark] = []

    def read(self, n_bytes: int) -> None:
        """Count an entry, whether it was applied or not."""
        self.entries += 1
        self.n_bytes += n_bytes

    def received(self, origin: Origin) -> int:
        """Record the number of a producer's message; return how many before it never came."""
        lost = self.tracker.see(*origin).lost
        if lost:
            known = origin.producer in self.lost or len(self.lost) < PRODUCERS
            self.lost[origin.producer if known else OTHERS] += lost
        return lost

    def received_damaged(self, origin: Origin | None) -> None:
        """Record a message whose number may be wrong: only if it is the number expected next."""
        if origin is not None and self.tracker.judge(*origin) == Step():
            self.received(origin)

    def refuse(self, reason: Reason) -> None:
        """Count a refused message."""
        self.refused[reason.value] += 1

    def incident(self, text: str) -> bool:
        """Record an incident unless the same one is recorded already.

        Returns:
            Whether it is new.
        """
        if any(before["text"] == text for before in self.incidents):
            return False
        self.incidents = [*self.incidents, {"at": time.time(), "text": text}][-INCIDENTS:]
        return True

    def mark(self, position: str, kept: Iterable[str]) -> None:
        """Remember how much has been read at the position of a new checkpoint.

        Args:
            position: The position.
            kept: Positions of the checkpoints that exist already; marks of others are dropped.
        """
        old = {*kept} - {position}
        self.marks = [mark for mark in self.marks if mark.position in old]
        self.marks.append(Mark(position, self.entries, self.n_bytes))

    def within(self, positions: list[str], entries: int, n_bytes: int) -> str | None:
        """Return the first checkpoint position since which at most this much was read, or None.

        Args:
            positions: Positions of checkpoints, in order.
            entries: Maximum number of entries since.
            n_bytes: Maximum number of bytes since.
        """
        since = {mark.position: mark for mark in self.marks}
        for position in positions:
            mark = since.get(position)
            if mark and self.entries - mark.entries <= entries and self.n_bytes - mark.n_bytes <= n_bytes:
                return position
        return None

    def trimmed(self, before: str) -> None:
        """Record that the stream now begins at the position of a checkpoint."""
        self.first = next((mark for mark in self.marks if mark.position == before), self.first)

    def in_stream(self) -> int:
        """Return about how many of the entries read are still in the stream."""
        return self.entries - self.first.entries + (self.first.position != START)

    def to_json(self) -> dict[str, Any]:
        """Return the counters as plain JSON values."""
        return {
            "sequence": self.tracker.to_json(),
            "entries": self.entries,
            "n_bytes": self.n_bytes,
            "frames": self.frames,
            "passed_over": self.passed_over,
            "refused": dict(self.refused),
            "lost": dict(self.lost),
            "incidents": self.incidents,
            "first": list(self.first),
            "marks": [list(mark) for mark in self.marks],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Counters:
        """Rebuild counters written by :meth:`to_json`.

        Raises:
            CiaoError: The value is something else.
        """
        counters = cls()
        try:
            counters.tracker = SequenceTracker.from_json(data["sequence"])
            counters.entries, counters.n_bytes = int(data["entries"]), int(data["n_bytes"])
            counters.frames, counters.passed_over = int(data["frames"]), int(data["passed_over"])
            counters.refused, counters.lost = Counter(data["refused"]), Counter(data["lost"])
            counters.incidents = [dict(incident) for incident in data["incidents"]]
            counters.first = Mark(*data["first"])
            counters.marks = [Mark(*mark) for mark in data["marks"]]
        except (KeyError, TypeError, ValueError) as error:
            raise CiaoError(f"not a follower's counters: {data!s:.200}") from error
        return counters
