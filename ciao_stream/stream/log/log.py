"""The learner's view of the stream: a log that is read from the position where its checkpoint stands.

The checkpoint is the only authority on the position. The consumer group is a cursor that :meth:`FrameLog.resync` sets
from it, and acknowledgements are book-keeping. After any error of :meth:`FrameLog.read` there is no cursor until
the next ``resync``: entries may have been delivered to nobody.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import redis

from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.log.connection import TIMEOUT_S, RedisAddress, told
from ciao_stream.stream.log.groups import Group, groups_beside, groups_of
from ciao_stream.stream.log.keys import StreamNames
from ciao_stream.stream.log.positions import START, order

DEAD_BYTES = 64 * 1024
"""Most bytes of a refused message that its dead letter keeps."""

MAX_DEAD = 10_000
"""About how many dead letters are kept; the oldest go first."""

PAGE = 500
"""Entries per command where all of them are gone through."""

_CONSUMER = "learner"


class Trouble(StrEnum):
    """What happened to the stream behind the learner's back."""

    WIPED = "wiped"
    """The stream is gone."""
    TAIL_LOST = "tail_lost"
    """Redis lost its last entries, some of which were applied."""
    TRIMMED = "trimmed"
    """Entries were cut off, up to behind the watermark."""
    DELETED = "deleted"
    """Entries after the watermark were deleted one by one."""


@dataclass(frozen=True)
class Incident:
    """What :meth:`FrameLog.resync` found.

    Args:
        trouble: What.
        text: What it means, in one line.
    """

    trouble: Trouble
    text: str


@dataclass(frozen=True, eq=False)
class Entry:
    """An entry as it lies in the stream.

    Args:
        position: Its id.
        fields: What it holds.
    """

    position: str
    fields: Mapping[bytes, bytes]


@dataclass(frozen=True, eq=False)
class DeadLetter:
    """A message that was refused.

    Args:
        position: Where it stood in the stream.
        reason: Value of a :class:`~ciao_stream.stream.log.refusals.Reason`.
        message: What was wrong.
        n_bytes: Size of all its values.
        sha256: Digest of all its values.
        fields: What it held; values are cut short, or left out, after :data:`DEAD_BYTES`.
    """

    position: str
    reason: str
    message: str
    n_bytes: int
    sha256: str
    fields: Mapping[bytes, bytes]

    @property
    def whole(self) -> bool:
        """Whether :attr:`fields` are all that it held."""
        return sum(map(len, self.fields.values())) == self.n_bytes


class CursorLostError(CiaoError):
    """What comes next is not known any more: call :meth:`FrameLog.resync`."""


class FrameLog:
    """Reads a stream in order, each entry once from where it was last set to.

    One learner at a time; a second one that reads the same group is noticed, by both.

    Args:
        address: The server.
        names: The stream's keys.
        max_dead: About how many dead letters are kept.
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

        To be called at the start and after any error; calling it once more changes nothing.

        Args:
            watermark: Position of the last entry applied; :data:`~ciao_stream.stream.log.positions.START` for none.

        Returns:
            What happened to the stream meanwhile; empty where all is well.

        Raises:
            RedisFullError: There is no group, and no room to make one: raise the server's limit.
            UnreachableError: No answer; call it again.
        """
        order(watermark)
        self._cursor = None
        stream, group = self.names.stream, self.names.group
        self._reader.connection_pool.disconnect()  # a late reply must not be taken for the next one
        with told(self.address):
            self._set_group(watermark)
            state: dict[str, Any] = self._client.xinfo_stream(stream)
            incidents = _incidents(state, watermark)
            if order(_text(state["last-generated-id"])) < order(watermark):
                with _ignoring("smaller than"):  # an entry came meanwhile, and after it
                    self._client.execute_command("XSETID", stream, watermark)  # or entries might come before it
            while left := self._client.xpending_range(stream, group, "-", watermark, PAGE):
                self._client.xack(stream, group, *[item["message_id"] for item in left])
        self._cursor = watermark
        return incidents

    def read(self, count: int, block_ms: int) -> list[Entry]:
        """Return the next entries, in order; none where none comes in time.

        Args:
            count: At most so many, >= 1.
            block_ms: Milliseconds to wait for the first, >= 1, and at most half of ``timeout_s``.

        Raises:
            CursorLostError: The stream or its group was removed, someone else got the next entries, or an earlier call
                failed.
            UnreachableError: No answer; call :meth:`resync` before reading on.
        """
        if count < 1 or not 1 <= block_ms <= self._timeout_s * 500:
            limit = f"1 to {self._timeout_s * 500:.0f} ms"
            raise CiaoError(f"expected a count >= 1 and a block of {limit} but got {count} and {block_ms} ms")
        if self._cursor is None:
            raise CursorLostError(f"stream {self.names.stream!r}: an earlier read failed; resync first")
        cursor, self._cursor = self._cursor, None
        stream, group = self.names.stream, self.names.group
        with told(self.address):
            try:
                reply = self._reader.xreadgroup(group, _CONSUMER, {stream: ">"}, count=count, block=block_ms)
            except redis.ResponseError as error:
                if str(error).startswith(("NOGROUP", "UNBLOCKED")):
                    raise CursorLostError(f"stream {stream!r} or its group {group!r} was removed") from error
                raise
            entries = entries_of(reply)
            if entries and self._client.xrange(stream, f"({cursor}", f"({entries[0].position}", count=1):
                raise CursorLostError(
                    f"stream {stream!r}: entries after {cursor} went to another reader of group {group!r}"
                )
        self._cursor = entries[-1].position if entries else cursor
        return entries

    def ack(self, positions: Iterable[str]) -> None:
        """Take note that entries are applied, and durably so: call it after the checkpoint.

        Raises:
            UnreachableError: No answer; call it again, or leave it to :meth:`resync`.
        """
        left = list(positions)
        with told(self.address):
            for start in range(0, len(left), PAGE):
                self._client.xack(self.names.stream, self.names.group, *left[start : start + PAGE])

    def trim(self, before: str) -> int:
        """Let go of the entries before a position, other than those that another group still needs.

        Args:
            before: Watermark of the oldest checkpoint that is kept; the entry there stays, as a mark.

        Returns:
            How many were let go of.

        Raises:
            UnreachableError: No answer; call it again.
        """
        stream = self.names.stream
        with told(self.address):
            needed = [before]
            for group in groups_of(self._client, stream):
                if _text(group["name"]) != self.names.group:
                    with _ignoring("NOGROUP"):  # it was dropped meanwhile
                        pending = self._client.xpending(stream, group["name"])["min"]
                        needed.append(_text(pending or group["last-delivered-id"]))
            return int(self._client.xtrim(stream, minid=min(needed, key=order), approximate=False))

    def lag(self) -> int | None:
        """Return how many entries have not been read; None where the server cannot tell, as amid a backlog.

        Raises:
            UnreachableError: No answer.
        """
        with told(self.address):
            for group in groups_of(self._client, self.names.stream):
                if _text(group["name"]) == self.names.group and (lag := group.get("lag")) is not None:
                    return min(int(lag), self.length())  # what was deleted counts as unread to Redis
        return None

    def groups_beside(self) -> list[Group]:
        """Return the groups of others, such as predictors, that read the stream.

        Raises:
            UnreachableError: No answer.
        """
        with told(self.address):
            return groups_beside(self._client, self.names)

    def length(self) -> int:
        """Return how many entries the stream holds, applied ones that are kept for a replay included.

        Raises:
            UnreachableError: No answer.
        """
        with told(self.address):
            return int(self._client.xlen(self.names.stream))

    def dead_letter(self, position: str, reason: str, message: str, fields: Mapping[bytes, bytes]) -> None:
        """Keep a refused message, once however often it is called; in the order of positions.

        Args:
            position: Where it stands in the stream.
            reason: Value of a :class:`~ciao_stream.stream.log.refusals.Reason`.
            message: What is wrong.
            fields: What it holds.

        Raises:
            RedisFullError: Call :meth:`trim` first.
            UnreachableError: No answer; call it again.
        """
        letter: dict[Any, Any] = {"reason": reason, "message": message, **_summary(fields), **_cut(fields)}
        with told(self.address), _ignoring("equal or smaller"):  # it is there already
            self._client.xadd(self.names.dead, letter, id=position, maxlen=self._max_dead, approximate=True)

    def dead_letters(self) -> Iterator[DeadLetter]:
        """Yield the dead letters that are kept, oldest first.

        Raises:
            UnreachableError: No answer.
        """
        start = "-"
        while True:
            with told(self.address):
                page = self._client.xrange(self.names.dead, start, count=PAGE // 10)
            if not page:
                return
            for letter in entries_of([[self.names.dead, page]]):
                yield _dead_letter(letter.position, letter.fields)
            start = f"({letter.position}"

    def close(self) -> None:
        """Close the connections."""
        self._cursor = None
        self._client.close()
        self._reader.close()

    def _set_group(self, watermark: str) -> None:
        """Set the group's cursor, and make the group where there is none; a full server allows the former alone."""
        stream, group = self.names.stream, self.names.group
        try:
            self._client.xgroup_setid(stream, group, watermark)
        except redis.ResponseError as error:
            if not any(words in str(error) for words in ("NOGROUP", "requires the key to exist")):
                raise
            with _ignoring("BUSYGROUP"):  # the reply to an earlier try was lost
                self._client.xgroup_create(stream, group, watermark, mkstream=True)


def entries_of(reply: Any) -> list[Entry]:
    """Return the entries in a reply of XREADGROUP or XREAD on one stream, in whichever shape redis-py gives it.

    By version of redis-py, protocol and ``legacy_responses``: ``[[stream, entries]]``, ``{stream: entries}`` or
    ``{stream: [entries]}``; nothing is ``[]``, ``{}`` or None; a deleted entry has None or ``{}`` for its fields.
    """
    if not reply:
        return []
    ((_, entries),) = reply.items() if isinstance(reply, dict) else reply
    if len(entries) == 1 and isinstance(entries[0], list):
        (entries,) = entries
    return [Entry(_text(position), fields or {}) for position, fields in entries]


@contextlib.contextmanager
def _ignoring(words: str) -> Iterator[None]:
    """Ignore the answer that says so: it means that all is done."""
    try:
        yield
    except redis.ResponseError as error:
        if words not in str(error):
            raise


def _incidents(state: Mapping[str, Any], watermark: str) -> tuple[Incident, ...]:
    """Judge what XINFO STREAM tells; counts of what was added and deleted are there from Redis 7.0 on."""
    last = _text(state["last-generated-id"])
    if order(last) < order(watermark):
        if last == START:
            text = f"the stream is gone, with all that came after {watermark}"
            return (Incident(Trouble.WIPED, text),)
        text = f"Redis ends at {last}, before the watermark {watermark}: it lost its last entries"
        return (Incident(Trouble.TAIL_LOST, text),)
    found = []
    first = state["first-entry"]
    anything_cut = state.get("entries-added") != state["length"]
    if watermark != START and anything_cut and (not first or order(_text(first[0])) > order(watermark)):
        text = f"entries were cut off up to behind the watermark {watermark}, perhaps some that were not applied"
        found.append(Incident(Trouble.TRIMMED, text))
    deleted = _text(state.get("max-deleted-entry-id", START))
    if order(deleted) > order(watermark):
        text = f"an entry at {deleted}, after the watermark {watermark}, was deleted before it was applied"
        found.append(Incident(Trouble.DELETED, text))
    return tuple(found)


def _summary(fields: Mapping[bytes, bytes]) -> dict[str, Any]:
    content = b"".join(fields.values())
    return {"n_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _cut(fields: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return fields with at most :data:`DEAD_BYTES` of values, small ones first, under names of their own."""
    kept: dict[bytes, bytes] = {}
    room = DEAD_BYTES
    for name, value in sorted(fields.items(), key=lambda item: len(item[1])):
        if room < len(name):
            break
        kept[b"field:" + name] = value[: room - len(name)]
        room -= len(name) + len(kept[b"field:" + name])
    return kept


def _dead_letter(position: str, values: Mapping[bytes, bytes]) -> DeadLetter:
    return DeadLetter(
        position,
        _text(values[b"reason"]),
        _text(values[b"message"]),
        int(values[b"n_bytes"]),
        _text(values[b"sha256"]),
        {name.removeprefix(b"field:"): value for name, value in values.items() if name.startswith(b"field:")},
    )


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
