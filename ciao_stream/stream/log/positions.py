"""Positions in a stream: ids that Redis gives, ``MILLISECONDS-SEQUENCE``, each greater than all before it."""

from __future__ import annotations

import re

from ciao_stream.exceptions import CiaoError

START = "0-0"
"""The position before every entry."""

_FORM = re.compile(r"(\d{1,20})-(\d{1,20})", re.ASCII)


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
