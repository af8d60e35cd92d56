"""The Redis keys of one stream, its entries, and their positions.

A position is the id that Redis gives an entry, ``MILLISECONDS-SEQUENCE``; positions increase along the stream.
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
    """The Redis keys of one stream.

    Args:
        stream: Key of the stream: letters, digits and ``._:-``, so that Redis never reads it as a pattern.
        group: The learner's consumer group.

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
                raise CiaoError(f"stream or group {name!r}: expected letters, digits and ._:- only")

    @property
    def dead(self) -> str:
        """Key of the stream of dead letters."""
        return f"{self.stream}:dead"

    @property
    def results(self) -> str:
        """Key of the stream of results, which predictors write."""
        return f"{self.stream}:results"

    def seen(self, message_id: str) -> str:
        """Key under which a message is remembered, so that it is appended once."""
        return f"{self.stream}:seen:{message_id}"


def order(position: str) -> tuple[int, int]:
    """Return the sort key of a position; as texts, positions sort wrongly.

    Raises:
        CiaoError: The text is not a position.

    >>> order("9-2") < order("10-1")
    True
    """
    match = _FORM.fullmatch(position)
    if match is None:
        raise CiaoError(f"{position!r} is not a position in a stream: expected MILLISECONDS-SEQUENCE")
    return int(match[1]), int(match[2])


def appended_at(position: str) -> float:
    """Return when Redis received the entry, in Unix seconds by the server's clock.

    >>> appended_at("1700000000250-3")
    1700000000.25
    """
    return order(position)[0] / 1000


@dataclass(frozen=True, eq=False)
class Entry:
    """An entry of the stream.

    Args:
        position: Its id.
        fields: Values by field.
    """

    position: str
    fields: Mapping[bytes, bytes]


def entries_of(reply: Any) -> list[Entry]:
    """Return the entries in a reply of XREADGROUP or XREAD on one stream, in any shape that redis-py returns.

    The shape depends on the version of redis-py, the protocol and ``legacy_responses``: ``[[stream, entries]]``,
    ``{stream: entries}`` or ``{stream: [entries]}``; an empty reply is ``[]``, ``{}`` or None; the fields of a deleted
    entry are None or ``{}``.
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
