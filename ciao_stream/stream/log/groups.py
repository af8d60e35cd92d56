"""Consumer groups beside the learner's, such as those of predictors, and how one that is gone is dropped.

The learner lets no entry go that a group has not answered: where nobody reads for it any more, the stream fills up.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import redis

from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.stream.log.connection import RedisAddress, told
from ciao_stream.stream.log.keys import StreamNames

ABANDONED_S = 60.0
"""Seconds after which a group that nobody reads for counts as abandoned; a predictor that runs reads all the time."""


@dataclass(frozen=True)
class Group:
    """A group beside the learner's.

    Args:
        name: Its name.
        behind: Entries that it has not answered; None where the server cannot tell.
        readers: Its consumers, those that were killed included.
        idle_s: Seconds since one of them read; None where it has none.
    """

    name: str
    behind: int | None
    readers: int
    idle_s: float | None

    @property
    def abandoned(self) -> bool:
        """Whether it holds the stream back, and nobody reads for it."""
        return self.behind != 0 and (self.idle_s is None or self.idle_s > ABANDONED_S)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {**asdict(self), "abandoned": self.abandoned}


def groups_of(client: redis.Redis, stream: str) -> list[dict[str, Any]]:
    """Return what XINFO GROUPS tells; nothing where there is no stream.

    Raises:
        redis.RedisError: No answer, or a refusal.
    """
    try:
        return list(client.xinfo_groups(stream))
    except redis.ResponseError as error:
        if "no such key" in str(error):
            return []
        raise


def groups_beside(client: redis.Redis, names: StreamNames) -> list[Group]:
    """Return all groups of a stream but the learner's.

    Raises:
        redis.RedisError: No answer, or a refusal.
    """
    found = []
    for group in groups_of(client, names.stream):
        name = _text(group["name"])
        if name == names.group:
            continue
        try:
            idle = [int(consumer["idle"]) / 1000 for consumer in client.xinfo_consumers(names.stream, name)]
        except redis.ResponseError as error:
            if not any(words in str(error) for words in ("NOGROUP", "no such key")):
                raise
            continue  # it was dropped meanwhile
        lag, length = group.get("lag"), int(client.xlen(names.stream))
        behind = None if lag is None else min(int(lag) + int(group["pending"]), length)
        found.append(Group(name, behind, len(idle), min(idle, default=None)))
    return found


def drop_group(address: RedisAddress, names: StreamNames, name: str) -> Group:
    """Remove a group, and all that it has not answered with it; return what it was.

    Args:
        address: The server; the user must be allowed to do so.
        names: The stream's keys.
        name: The group.

    Raises:
        CiaoError: It is the learner's, there is none of that name, or somebody reads for it.
        UnreachableError: No answer; call it again.
    """
    if name == names.group:
        raise CiaoError(f"group {name!r} is the learner's: it cannot be dropped")
    client = address.client()
    try:
        with told(address):
            known = {group.name: group for group in groups_beside(client, names)}
            if name not in known:
                raise UnknownNameError("group", name, known)
            group = known[name]
            if group.idle_s is not None and group.idle_s <= ABANDONED_S:
                raise CiaoError(
                    f"somebody read for group {name!r} {group.idle_s:.0f} s ago: stop its predictors; one that was "
                    f"killed is forgotten after {ABANDONED_S:.0f} s"
                )
            client.xgroup_destroy(names.stream, name)
    finally:
        client.close()
    return group


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
