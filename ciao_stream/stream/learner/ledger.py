"""What a follower of the stream counts, beside what its learner learns; it stands in the notes of every checkpoint."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.learner.sequence import PRODUCERS, SequenceTracker, Step
from ciao_stream.stream.log.keys import START
from ciao_stream.stream.log.messages import Origin
from ciao_stream.stream.log.refusals import Reason

INCIDENTS = 50
"""Incidents that are kept; the oldest go first."""

OTHERS = "(others)"
"""Who lost what is not told apart any more."""


class Mark(NamedTuple):
    """How far the stream was read when a checkpoint was written."""

    position: str
    entries: int
    n_bytes: int


class Ledger:
    """Counts of one learner's whole life; :meth:`to_json` and :meth:`from_json` carry them on."""

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
        """Count an entry, whatever became of it."""
        self.entries += 1
        self.n_bytes += n_bytes

    def heard(self, origin: Origin) -> None:
        """Take note of a producer's message, and of those before it that never came."""
        step = self.tracker.see(*origin)
        if step.lost:
            known = origin.producer in self.lost or len(self.lost) < PRODUCERS
            self.lost[origin.producer if known else OTHERS] += step.lost

    def heard_damaged(self, origin: Origin | None) -> None:
        """Take note of a message whose number may be wrong: only if it is the one that was to come next."""
        if origin is not None and self.tracker.judge(*origin) == Step():
            self.heard(origin)

    def refuse(self, reason: Reason) -> None:
        """Count a refused message."""
        self.refused[reason.value] += 1

    def incident(self, text: str) -> bool:
        """Write down what happened; the same thing again is no news.

        Returns:
            Whether it is news.
        """
        if any(before["text"] == text for before in self.incidents):
            return False
        self.incidents = [*self.incidents, {"at": time.time(), "text": text}][-INCIDENTS:]
        return True

    def mark(self, position: str, kept: Iterable[str]) -> None:
        """Remember how much has been read at the position of a new checkpoint.

        Args:
            position: The position.
            kept: Those of the checkpoints that are kept beside it; what was remembered of others is forgotten.
        """
        old = {*kept} - {position}
        self.marks = [mark for mark in self.marks if mark.position in old]
        self.marks.append(Mark(position, self.entries, self.n_bytes))

    def within(self, positions: list[str], entries: int, n_bytes: int) -> str | None:
        """Return the first of some checkpoints' positions since which no more than this was read; None: there is none.

        Args:
            positions: In order.
            entries: Most entries since.
            n_bytes: Most bytes since.
        """
        since = {mark.position: mark for mark in self.marks}
        for position in positions:
            mark = since.get(position)
            if mark and self.entries - mark.entries <= entries and self.n_bytes - mark.n_bytes <= n_bytes:
                return position
        return None

    def trimmed(self, before: str) -> None:
        """Take note that the stream begins at the position of a checkpoint now."""
        self.first = next((mark for mark in self.marks if mark.position == before), self.first)

    def in_stream(self) -> int:
        """Return about how many of the entries that were read the stream still holds."""
        return self.entries - self.first.entries + (self.first.position != START)

    def to_json(self) -> dict[str, Any]:
        """Return the counts as plain JSON values."""
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
    def from_json(cls, data: Mapping[str, Any]) -> Ledger:
        """Rebuild a ledger written by :meth:`to_json`.

        Raises:
            CiaoError: It is none.
        """
        ledger = cls()
        try:
            ledger.tracker = SequenceTracker.from_json(data["sequence"])
            ledger.entries, ledger.n_bytes = int(data["entries"]), int(data["n_bytes"])
            ledger.frames, ledger.passed_over = int(data["frames"]), int(data["passed_over"])
            ledger.refused, ledger.lost = Counter(data["refused"]), Counter(data["lost"])
            ledger.incidents = [dict(incident) for incident in data["incidents"]]
            ledger.first = Mark(*data["first"])
            ledger.marks = [Mark(*mark) for mark in data["marks"]]
        except (KeyError, TypeError, ValueError) as error:
            raise CiaoError(f"not a follower's counts: {data!s:.200}") from error
        return ledger
