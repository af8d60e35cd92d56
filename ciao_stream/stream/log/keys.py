"""The keys of one stream in Redis, and the entries in it by their positions.

A position is the id that Redis gives an entry, ``MILLISECONDS-SEQUENCE``, greater than all before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ciao_stream.exceptions import CiaoError

START = "0-0"
"""The position before every entry."""

_FORM = re.compile(r"(\d{1,20})-(\d{1,20})", re.ASCII)


@dataclass(frozen=True)
class StreamNames:
    """What belongs to one stream.

    Args:
        stream: Key of the stream: letters, digits, and any of ``._:-``, so that it is no pattern to Redis.
        group: The learner's consumer group, a cursor that others may look at.

    Raises:
        CiaoError: A name has other characters.

    >>> StreamNames("camera1").dead
    'camera1:dead'
    """

    stream: str = "frames"
    group: str = "learner"

    def __post_init__(self) -> None:
        for name in (self.stream, self.group):
            if not name or not name.isascii() or not all(c.isalnum() or c in "._:-" for c in name):
                raise CiaoError(f"stream or group {name!r}: expected letters, digits and ._:- alone")

    @property
    def dead(self) -> str:
        """Key of the stream of dead letters."""
        return f"{self.stream}:dead"

    @property
    def results(self) -> str:
        """Key of the stream of predictors' answers."""
        return f"{self.stream}:results"

    def seen(self, message_id: str) -> str:
        """Key that remembers a message, so that it is appended once."""
        return f"{self.stream}:seen:{message_id}"


def order(position: str) -> tuple[int, int]:
    """Return what positions are compared by; as texts they sort wrongly.

    Raises:
        CiaoError: It is no position.

    >>> order("9-2") < order("10-1")
    True
    """
    match = _FORM.fullmatch(position)
    if match is None:
        raise CiaoError(f"{position!r} is no position in a stream: expected MILLISECONDS-SEQUENCE")
    return int(match[1]), int(match[2])


def appended_at(position: str) -> float:
    """Return when Redis took the entry, by its clock, in Unix seconds.

    >>> appended_at("1700000000250-3")
    1700000000.25
    """
    return order(position)[0] / 1000


@dataclass(frozen=True, eq=False)
class Entry:
    """An entry as it lies in the stream.

    Args:
        position: Its id.
        fields: What it holds.
    """

    position: str
    fields: Mapping[bytes, bytes]


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
    return [Entry(text_of(position), fields or {}) for position, fields in entries]


def text_of(value: bytes | str) -> str:
    """Return a reply of Redis as text."""
    return value.decode() if isinstance(value, bytes) else value
