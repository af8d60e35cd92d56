"""What each part of the system may do in Redis, as rules for ``ACL SETUSER`` (Redis 7.0, Valkey 7.2, and later).

Give every process a user of its own role, and switch the default user off (``ACL SETUSER default off``).
"""

from __future__ import annotations

from typing import Literal, get_args

import redis

from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.stream.log.keys import StreamNames

Role = Literal["producer", "labeler", "learner", "predictor", "viewer"]
"""``producer`` appends; ``labeler`` may look for the newest frame too; ``learner`` reads, acknowledges, trims and
writes dead letters; ``predictor`` reads, alone or in a group, and writes results; ``viewer`` looks on.

Redis cannot tell groups apart: a predictor could read in the learner's. The learner would notice, and lose nothing."""

ROLES: tuple[Role, ...] = get_args(Role)

_Grant = tuple[tuple[str, ...], tuple[str, ...]]
"""Keys, and what may be done with them; nothing of one grant holds for the keys of another."""

_APPENDING = ("eval", "evalsha", "script|load", "xadd", "set", "get", "xlen", "xinfo|groups")
_LOOKING = ("xrange", "xrevrange", "xread", "xlen", "xinfo|stream", "xinfo|groups", "xinfo|consumers")
_PRODUCING = ("%RW~{stream}", "%RW~{stream}:seen:*")

_GRANTS: dict[Role, tuple[_Grant, ...]] = {
    "producer": ((_PRODUCING, (*_APPENDING, "time")),),
    "labeler": ((_PRODUCING, (*_APPENDING, "xrevrange")),),
    "learner": (
        (("%RW~{stream}",), (
            "xreadgroup", "xack", "xgroup|create", "xgroup|setid", "xinfo|stream", "xinfo|groups", "xinfo|consumers",
            "xpending", "xrange", "xlen", "xtrim", "xsetid",
        )),
        (("%W~{stream}:dead",), ("xadd",)),
    ),
    "predictor": (
        (("%RW~{stream}",), (
            "xread", "xinfo|stream", "xgroup|create", "xgroup|delconsumer", "xreadgroup", "xpending", "xclaim", "xack",
            "multi", "exec",
        )),
        (("%W~{stream}:results",), ("xadd",)),
    ),
    "viewer": ((("%R~{stream}", "%R~{stream}:dead", "%R~{stream}:results"), _LOOKING),),
}  # fmt: skip

_CONNECTING = ("ping", "hello", "select", "client|setname", "client|setinfo")


def rules(role: Role, names: StreamNames | None = None, known: frozenset[str] | None = None) -> list[str]:
    """Return what a user of a role may do, as words of ``ACL SETUSER``.

    Args:
        role: One of :data:`ROLES`.
        names: The stream's keys.
        known: Commands that the server has: one that it lacks would have it refuse the whole user. None: all.

    Raises:
        UnknownNameError: There is no such role.

    >>> rules("predictor")[-1]
    '(%W~frames:results +xadd)'
    """
    if role not in ROLES:
        raise UnknownNameError("role", role, ROLES)
    stream = (names or StreamNames()).stream
    first, *others = [
        ([key.format(stream=stream) for key in keys], [f"+{name}" for name in can if known is None or name in known])
        for keys, can in _GRANTS[role]
    ]
    connecting = [f"+{name}" for name in _CONNECTING if known is None or name in known]
    selectors = [f"({' '.join([*keys, *can])})" for keys, can in others]
    return ["resetkeys", *first[0], "resetchannels", "-@all", *first[1], *connecting, *selectors]


def set_user(client: redis.Redis, user: str, password: str, role: Role, names: StreamNames | None = None) -> None:
    """Make a user, or make one anew, with a role's rules and this password alone.

    Args:
        client: Connected as somebody who may do so.
        user: Name of the user.
        password: Of 16 characters or more.
        role: One of :data:`ROLES`.
        names: The stream's keys.

    Raises:
        CiaoError: The password is too short, or the server has no such rules.
    """
    if len(password) < 16:
        raise CiaoError(f"user {user!r}: expected a password of 16 characters or more")
    try:
        known = frozenset(bytes(name).decode() for name in client.execute_command("COMMAND LIST"))
        words = rules(role, names, known)
        client.execute_command("ACL SETUSER", user, "reset", "on", f">{password}", *words)
    except redis.ResponseError as error:
        raise CiaoError(f"cannot set user {user!r}: {error}; users with roles need Redis 7.0 or later") from error
