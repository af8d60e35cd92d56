"""How predictors read frames and write results, alone or in a consumer group.

Alone, a predictor reads every frame from its start, and leaves no state in the server. A result whose publication was
not confirmed is published again: it may appear twice, and is identified by its position and world.

In a group, each entry goes to one predictor. Its results and its acknowledgement are one transaction, so that an entry
is answered once, whichever reply is lost. Other members take over the entries of one that is gone; one that was only
slow first checks which entries it still owns.

The learner keeps every entry that a group has not answered: an abandoned group must be dropped (:func:`drop_group`), or
the stream fills up.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import redis

from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.stream.log.connection import TIMEOUT_S, RedisAddress, ignoring, noticing_removal, translated_errors
from ciao_stream.stream.log.keys import START, Entry, StreamNames, entries_of, order, text_of

NEW = "new"
"""Start after the newest entry."""

RESULTS_KEPT = 10_000
"""Approximate number of results to keep; the oldest are removed first."""

CLAIM_S = 10.0
"""Seconds after which an unanswered entry may go to another predictor of the group."""

LEAVE_S = 0.5
"""Seconds to wait for a reply when leaving."""

DELIVERIES = 3
"""Most predictors that receive an entry; if none answers, the entry is assumed to crash them and is given up."""

ABANDONED_S = 60.0
"""Seconds without a read after which a group counts as abandoned; a running predictor reads all the time."""

_log = logging.getLogger(__name__)


class FrameFeed:
    """Reads the entries of a stream and publishes results; after any error :meth:`close` it, then read on.

    Args:
        address: Returns the server's address; called at the start and after every :meth:`close`.
        names: The stream's keys.
        start: :data:`NEW`, or the position after which to read. An existing group continues from its own position.
        group: Consumer group; None: read every entry.
        kept: Approximate number of results to keep.
        claim_s: Seconds after which an entry that another predictor has not answered is taken over.
        timeout_s: Seconds after which a reply counts as lost.

    Raises:
        CiaoError: ``start`` is not a position, ``kept`` is out of range, or the group is the learner's.
    """

    def __init__(
        self,
        address: Callable[[], RedisAddress],
        names: StreamNames,
        *,
        start: str = NEW,
        group: str | None = None,
        kept: int = RESULTS_KEPT,
        claim_s: float = CLAIM_S,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        if start != NEW and max(order(start)) >= 2**64:
            raise CiaoError(f"start: {start} is greater than any position: give a position of the stream, or {NEW}")
        if not 1 <= kept < 2**63:
            raise CiaoError(f"results to keep: expected 1 to 2^63 - 1 but got {kept}")
        if group is not None and StreamNames(names.stream, group).group == names.group:
            raise CiaoError(f"group {group!r} is the learner's: choose another name")
        self.names = names
        self.group = group
        self.crashed = 0
        """Entries that were given up, because no predictor survived them."""
        self._address = address
        self._start = start
        self._kept = kept
        self._claim_ms = int(claim_s * 1000)
        self._timeout_s = timeout_s
        self._consumer = f"predictor-{os.getpid()}-{secrets.token_hex(4)}"
        self._at: RedisAddress | None = None
        self._client: redis.Redis | None = None
        self._cursor: str | None = None
        self._unsure = False
        self._next_claim = 0.0
        self._read_at = 0.0

    def read(self, count: int, block_ms: int) -> list[Entry]:
        """Return the next entries; an empty list where none arrives in time.

        Args:
            count: Most entries, >= 1.
            block_ms: Milliseconds to wait for the first, >= 1, and at most half of ``timeout_s``.

        Raises:
            UnreachableError: No response.
            CursorLostError: The group was removed.
        """
        client, address = self._opened()
        with translated_errors(address), noticing_removal(self.names.stream, self.group):
            if self.group is None:
                return entries_of(client.xread({self.names.stream: self._cursor or START}, count, block_ms))
            entries = self._read_group(client, self.group, count, block_ms)
            self._read_at = time.monotonic()
            return entries

    def given_away(self, entries: Sequence[Entry]) -> frozenset[str]:
        """Return the positions of entries that another predictor has taken over, because this one was slow.

        Args:
            entries: What :meth:`read` returned last.

        Raises:
            UnreachableError: No response; in a group, read again.
        """
        if self.group is None or time.monotonic() - self._read_at < self._claim_ms / 2000:
            return frozenset()
        client, address = self._opened()
        positions = sorted((entry.position for entry in entries), key=order)
        with translated_errors(address), noticing_removal(self.names.stream, self.group):
            left: list[dict[str, Any]] = client.xpending_range(
                self.names.stream, self.group, positions[0], positions[-1], len(positions), self._consumer
            )
        return frozenset(positions) - {item["message_id"].decode() for item in left}

    def publish(self, entries: Sequence[Entry], results: Sequence[str]) -> None:
        """Publish the results of some entries, and acknowledge the entries.

        Args:
            entries: What :meth:`read` returned, without those given away.
            results: One JSON object each.

        Raises:
            UnreachableError: No response. In a group, read again: it returns the entries that were not answered.
                Alone, call this again.
            RedisFullError: The server accepts no more data; do the same.
        """
        client, address = self._opened()
        with (
            translated_errors(address),
            noticing_removal(self.names.stream, self.group),
            client.pipeline(transaction=True) as pipe,
        ):
            for result in results:
                pipe.xadd(self.names.results, {"result": result}, maxlen=self._kept, approximate=True)
            if self.group is not None:
                pipe.xack(self.names.stream, self.group, *[entry.position for entry in entries])
            pipe.execute()
        self._cursor = max(*(entry.position for entry in entries), self._cursor or START, key=order)

    def close(self) -> None:
        """Close the connection; the next call opens another one."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def leave(self) -> None:
        """Close the connection, and leave the group unless entries are unanswered or the server does not respond."""
        connected = self._client is not None
        self.close()
        if self.group is not None and self._at is not None and connected:
            stream, client = self.names.stream, self._at.reader(LEAVE_S)
            with contextlib.suppress(redis.RedisError), client:
                if not client.xpending_range(stream, self.group, "-", "+", 1, self._consumer):
                    client.xgroup_delconsumer(stream, self.group, self._consumer)

    def _opened(self) -> tuple[redis.Redis, RedisAddress]:
        if self._client is None or self._at is None:
            self._at = self._address()
            client = self._at.reader(self._timeout_s)
            try:
                with translated_errors(self._at):
                    self._set_cursor(client)
            except BaseException:
                client.close()
                raise
            self._client = client
        return self._client, self._at

    def _set_cursor(self, client: redis.Redis) -> None:
        """Set the position to read from; do not wait for ids that the server has lost."""
        stream = self.names.stream
        if self.group is not None:
            wanted = self._cursor or ("$" if self._start == NEW else self._start)
            with ignoring("BUSYGROUP"):
                client.xgroup_create(stream, self.group, wanted, mkstream=True)
            self._unsure = True
            return
        newest = _newest(client, stream)
        wanted = self._cursor or (newest if self._start == NEW else self._start)
        self._cursor = wanted if self._cursor is None else min(wanted, newest, key=order)

    def _read_group(self, client: redis.Redis, group: str, count: int, block_ms: int) -> list[Entry]:
        """Return entries delivered to this predictor and perhaps unanswered, then those of others, then new ones."""
        stream, me = self.names.stream, self._consumer
        if self._unsure:
            if left := entries_of(client.xreadgroup(group, me, {stream: "0"}, count)):
                return left
            self._unsure = False
        if time.monotonic() >= self._next_claim and (taken := self._take_over(client, group, count)):
            return taken
        return entries_of(client.xreadgroup(group, me, {stream: ">"}, count, block_ms))

    def _take_over(self, client: redis.Redis, group: str, count: int) -> list[Entry]:
        """Claim entries that were delivered long ago; give up those that crash every predictor."""
        stream = self.names.stream
        left: list[dict[str, Any]] = client.xpending_range(stream, group, "-", "+", count, idle=self._claim_ms)
        if not left:
            self._next_claim = time.monotonic() + self._claim_ms / 2000
            return []
        deadly = [item["message_id"] for item in left if item["times_delivered"] >= DELIVERIES]
        if deadly:
            _log.warning("group %s: gave up %d entries that crash predictors", group, len(deadly))
            self.crashed += int(client.xack(stream, group, *deadly))
        if others := [item["message_id"] for item in left if item["times_delivered"] < DELIVERIES]:
            _log.info("group %s: taking over %d entries", group, len(others))
            reply = client.xclaim(stream, group, self._consumer, self._claim_ms, others)
            return [entry for entry in entries_of([[stream, reply]]) if entry.fields]
        return []


@dataclass(frozen=True)
class Group:
    """A consumer group other than the learner's.

    Args:
        name: Its name.
        behind: Entries that it has not answered; None where the server does not know.
        readers: Number of its consumers, including killed ones.
        idle_s: Seconds since one of them read; None without consumers.
    """

    name: str
    behind: int | None
    readers: int
    idle_s: float | None

    @property
    def abandoned(self) -> bool:
        """Whether entries wait for it, and no consumer reads."""
        return self.behind != 0 and (self.idle_s is None or self.idle_s > ABANDONED_S)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {**asdict(self), "abandoned": self.abandoned}


def groups_of(client: redis.Redis, stream: str) -> list[dict[str, Any]]:
    """Return the reply of XINFO GROUPS; an empty list where there is no stream.

    Raises:
        redis.RedisError: No response, or a refusal.
    """
    with ignoring("no such key"):
        return list(client.xinfo_groups(stream))
    return []


def other_groups(client: redis.Redis, names: StreamNames) -> list[Group]:
    """Return all groups of a stream except the learner's.

    Raises:
        redis.RedisError: No response, or a refusal.
    """
    found = []
    for group in groups_of(client, names.stream):
        name = text_of(group["name"])
        if name == names.group:
            continue
        with ignoring("NOGROUP", "no such key"):  # it was dropped meanwhile
            idle = [int(consumer["idle"]) / 1000 for consumer in client.xinfo_consumers(names.stream, name)]
            lag, length = group.get("lag"), int(client.xlen(names.stream))
            behind = None if lag is None else min(int(lag) + int(group["pending"]), length)
            found.append(Group(name, behind, len(idle), min(idle, default=None)))
    return found


def drop_group(address: RedisAddress, names: StreamNames, name: str) -> Group:
    """Remove a group, whose unanswered entries stay unanswered, and return its last state.

    Args:
        address: The server; the user must be allowed to do so.
        names: The stream's keys.
        name: The group.

    Raises:
        CiaoError: It is the learner's, does not exist, or is in use.
        UnreachableError: No response; call it again.
    """
    if name == names.group:
        raise CiaoError(f"group {name!r} is the learner's: it cannot be dropped")
    with address.client() as client, translated_errors(address):
        known = {group.name: group for group in other_groups(client, names)}
        if name not in known:
            raise UnknownNameError("group", name, known)
        group = known[name]
        if group.idle_s is not None and group.idle_s <= ABANDONED_S:
            raise CiaoError(
                f"group {name!r} is in use (last read {group.idle_s:.0f} s ago): stop its predictors first; "
                f"a killed one is ignored after {ABANDONED_S:.0f} s"
            )
        client.xgroup_destroy(names.stream, name)
    return group


def _newest(client: redis.Redis, stream: str) -> str:
    with ignoring("no such key"):
        return text_of(client.xinfo_stream(stream)["last-generated-id"])
    return START
