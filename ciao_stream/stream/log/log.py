"""How the learner reads the stream: as a log, from the position in its checkpoint.

Only the checkpoint determines the position. :meth:`FrameLog.resync` sets the cursor from it, which is the consumer
group's position; acknowledgements are book-keeping. After any error of :meth:`FrameLog.read` the cursor is lost
until the next ``resync``, because entries may have been delivered to nobody. :class:`History` reads without a cursor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import redis

from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.log.connection import (
    TIMEOUT_S,
    CursorLostError,
    RedisAddress,
    ignoring,
    noticing_removal,
    translated_errors,
)
from ciao_stream.stream.log.dead import letter_fields
from ciao_stream.stream.log.feed import Group, groups_of, other_groups
from ciao_stream.stream.log.keys import START, Entry, StreamNames, entries_of, order, text_of

MAX_DEAD = 10_000
"""Approximate number of dead letters to keep; the oldest are removed first."""

PAGE = 500
"""Entries per command when iterating over all."""

IN_ONE_GO = PAGE // 5
"""Entries per command of :class:`History`; each may have 256 KiB."""

_CONSUMER = "learner"


class Trouble(StrEnum):
    """What happened to the stream while the learner did not read it."""

    WIPED = "wiped"
    """The stream was deleted."""
    TAIL_LOST = "tail_lost"
    """Redis lost its last entries, some of which were applied."""
    TRIMMED = "trimmed"
    """Entries up to beyond the watermark were trimmed."""
    DELETED = "deleted"
    """Single entries after the watermark were deleted."""


@dataclass(frozen=True)
class Incident:
    """Something that :meth:`FrameLog.resync` found.

    Args:
        trouble: What happened.
        text: Explanation in one line.
    """

    trouble: Trouble
    text: str


class FrameLog:
    """Reads a stream in order, each entry once since the last :meth:`resync`.

    For one learner at a time; if a second one reads in the same group, both notice.

    Args:
        address: The server.
        names: The stream's keys.
        max_dead: Approximate number of dead letters to keep.
        timeout_s: Seconds after which a reply counts as lost.
    """

    def __init__(
        self,
        address: RedisAddress,
        names: StreamNames | None = None,
        *,
        max_dead: int = MAX_DEAD,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.address = address
        self.names = names or StreamNames()
        self._max_dead = max_dead
        self._timeout_s = timeout_s
        self._client = address.client(timeout_s)
        self._reader = address.reader(timeout_s)
        self._cursor: str | None = None

    def resync(self, watermark: str) -> tuple[Incident, ...]:
        """Set the cursor: the next entry to be read is the first one after ``watermark``.

        Call it at the start and after any error; it is idempotent.

        Args:
            watermark: Position of the last entry applied; :data:`~ciao_stream.stream.log.keys.START` for none.

        Returns:
            What happened to the stream in the meantime; normally empty.

        Raises:
            RedisFullError: There is no group and no memory to create it: raise the server's limit.
            UnreachableError: No response; call it again.
        """
        order(watermark)
        self._cursor = None
        stream, group = self.names.stream, self.names.group
        self._reader.connection_pool.disconnect()  # a late reply must not count as the next one
        with translated_errors(self.address):
            self._set_group(watermark)
            state: dict[str, Any] = self._client.xinfo_stream(stream)
            incidents = _incidents(state, watermark)
            if order(text_of(state["last-generated-id"])) < order(watermark):
                with ignoring("smaller than"):  # a later entry arrived in the meantime
                    self._client.execute_command("XSETID", stream, watermark)  # else new entries might get smaller ids
            while left := self._client.xpending_range(stream, group, "-", watermark, PAGE):
                self._client.xack(stream, group, *[item["message_id"] for item in left])
        self._cursor = watermark
        return incidents

    def read(self, count: int, block_ms: int) -> list[Entry]:
        """Return the next entries, in order; an empty list where none arrives in time.

        Args:
            count: Most entries, >= 1.
            block_ms: Milliseconds to wait for the first, >= 1, and at most half of ``timeout_s``.

        Raises:
            CursorLostError: The stream or its group was removed, another reader got the next entries, or an earlier
                call failed.
            UnreachableError: No response; call :meth:`resync` before reading on.
        """
        if count < 1 or not 1 <= block_ms <= self._timeout_s * 500:
            limit = f"1 to {self._timeout_s * 500:.0f} ms"
            raise CiaoError(f"expected a count >= 1 and a wait of {limit} but got {count} and {block_ms} ms")
        if self._cursor is None:
            raise CursorLostError(f"stream {self.names.stream!r}: an earlier read failed: call resync first")
        cursor, self._cursor = self._cursor, None
        stream, group = self.names.stream, self.names.group
        with translated_errors(self.address):
            with noticing_removal(stream, group):
                reply = self._reader.xreadgroup(group, _CONSUMER, {stream: ">"}, count=count, block=block_ms)
            entries = entries_of(reply)
            if entries and self._client.xrange(stream, f"({cursor}", f"({entries[0].position}", count=1):
                raise CursorLostError(
                    f"stream {stream!r}: entries after {cursor} went to another reader of group {group!r}"
                )
        self._cursor = entries[-1].position if entries else cursor
        return entries

    def ack(self, positions: Iterable[str]) -> None:
        """Acknowledge entries as applied; call it after the checkpoint that contains them.

        Raises:
            UnreachableError: No response; call it again, or leave it to :meth:`resync`.
        """
        left = list(positions)
        with translated_errors(self.address):
            for start in range(0, len(left), PAGE):
                self._client.xack(self.names.stream, self.names.group, *left[start : start + PAGE])

    def trim(self, before: str) -> int:
        """Remove the entries before a position, except those that another group still needs.

        Args:
            before: Watermark of the oldest kept checkpoint; the entry at this position stays, as a mark.

        Returns:
            Number of removed entries.

        Raises:
            UnreachableError: No response; call it again.
        """
        stream = self.names.stream
        with translated_errors(self.address):
            needed = [before]
            for group in groups_of(self._client, stream):
                if text_of(group["name"]) != self.names.group:
                    with ignoring("NOGROUP"):  # it was dropped in the meantime
                        pending = self._client.xpending(stream, group["name"])["min"]
                        needed.append(text_of(pending or group["last-delivered-id"]))
            return int(self._client.xtrim(stream, minid=min(needed, key=order), approximate=False))

    def lag(self) -> int | None:
        """Return the number of unread entries; None where the server does not know, as during a backlog.

        Raises:
            UnreachableError: No response.
        """
        with translated_errors(self.address):
            for group in groups_of(self._client, self.names.stream):
                if text_of(group["name"]) == self.names.group and (lag := group.get("lag")) is not None:
                    return min(int(lag), self.length())  # Redis counts deleted entries as unread
        return None

    def other_groups(self) -> list[Group]:
        """Return the groups of other readers of the stream, such as predictors.

        Raises:
            UnreachableError: No response.
        """
        with translated_errors(self.address):
            return other_groups(self._client, self.names)

    def length(self) -> int:
        """Return the number of entries in the stream, including applied ones kept for a replay.

        Raises:
            UnreachableError: No response.
        """
        with translated_errors(self.address):
            return int(self._client.xlen(self.names.stream))

    def dead_letter(self, position: str, reason: str, message: str, fields: Mapping[bytes, bytes]) -> None:
        """Keep a refused message as a dead letter; idempotent. Call it in the order of positions.

        Args:
            position: Its position in the stream.
            reason: Value of a :class:`~ciao_stream.stream.log.refusals.Reason`.
            message: What is wrong.
            fields: Its fields.

        Raises:
            RedisFullError: Call :meth:`trim` first.
            UnreachableError: No response; call it again.
        """
        letter = letter_fields(reason, message, fields)
        with translated_errors(self.address), ignoring("equal or smaller"):  # it is kept already
            self._client.xadd(self.names.dead, letter, id=position, maxlen=self._max_dead, approximate=True)

    def close(self) -> None:
        """Close the connections."""
        self._cursor = None
        self._client.close()
        self._reader.close()

    def _set_group(self, watermark: str) -> None:
        """Set the group's cursor, and create the group if there is none; a full server allows only the former."""
        stream, group = self.names.stream, self.names.group
        try:
            self._client.xgroup_setid(stream, group, watermark)
        except redis.ResponseError as error:
            if not any(words in str(error) for words in ("NOGROUP", "requires the key to exist")):
                raise
            with ignoring("BUSYGROUP"):  # the reply to an earlier attempt was lost
                self._client.xgroup_create(stream, group, watermark, mkstream=True)


class History:
    """Reads any part of a stream, and changes nothing.

    Args:
        address: The server.
        names: The stream's keys.
    """

    def __init__(self, address: RedisAddress, names: StreamNames | None = None) -> None:
        self.address = address
        self.names = names or StreamNames()
        self._client = address.client()

    def entries(self, after: str = START, upto: str = "+") -> Iterator[Entry]:
        """Yield entries, oldest first.

        Args:
            after: Position before the first entry.
            upto: Position of the last entry; ``+`` for the newest.

        Raises:
            UnreachableError: No response.
        """
        while True:
            with translated_errors(self.address):
                page = self._client.xrange(self.names.stream, f"({after}", upto, count=IN_ONE_GO)
            entries = entries_of([[self.names.stream, page]])
            yield from entries
            if not entries:
                return
            after = entries[-1].position

    def holds_all_after(self, position: str) -> bool:
        """Return whether the stream still has every entry after a position.

        Args:
            position: Position of an entry, which :meth:`FrameLog.trim` leaves as a mark; or START.

        Raises:
            UnreachableError: No response.
        """
        stream = self.names.stream
        with translated_errors(self.address):
            if position != START:
                return bool(self._client.xrange(stream, position, position, count=1))
            state = self._client.xinfo_stream(stream)
        return bool(state.get("entries-added", state["length"]) == state["length"])

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _incidents(state: Mapping[str, Any], watermark: str) -> tuple[Incident, ...]:
    """Compare the reply of XINFO STREAM with the watermark; Redis counts added and deleted entries from 7.0 on."""
    last = text_of(state["last-generated-id"])
    if order(last) < order(watermark):
        if last == START:
            text = f"the stream was deleted, with all entries after {watermark}"
            return (Incident(Trouble.WIPED, text),)
        text = f"the stream ends at {last}, before the watermark {watermark}: Redis lost its last entries"
        return (Incident(Trouble.TAIL_LOST, text),)
    found = []
    first = state["first-entry"]
    anything_cut = state.get("entries-added") != state["length"]
    if watermark != START and anything_cut and (not first or order(text_of(first[0])) > order(watermark)):
        text = f"entries beyond the watermark {watermark} were trimmed, perhaps before they were applied"
        found.append(Incident(Trouble.TRIMMED, text))
    deleted = text_of(state.get("max-deleted-entry-id", START))
    if order(deleted) > order(watermark):
        text = f"the entry at {deleted}, after the watermark {watermark}, was deleted before it was applied"
        found.append(Incident(Trouble.DELETED, text))
    return tuple(found)
