"""Access rules for each role in Redis, for ``ACL SETUSER`` (Redis 7.0, Valkey 7.2, and later).

Give every process a user with its role, and disable the default user (``ACL SETUSER default off``).
"""

from __future__ import annotations

from typing import Literal, get_args

import redis

from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.stream.log.keys import StreamNames

Role = Literal["producer", "labeler", "learner", "predictor", "viewer"]
"""``producer`` appends; ``labeler`` may also look up the newest frame; ``learner`` reads, acknowledges, trims and
writes dead letters; ``predictor`` reads, alone or in a group, and writes results; ``viewer`` only reads.

Redis has no rules per group: a predictor could read in the learner's group. The learner would notice, and lose nothing.
"""

ROLES: tuple[Role, ...] = get_args(Role)

_Grant = tuple[tuple[str, ...], tuple[str, ...]]
"""Keys and the commands allowed on them."""

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
    """Return the rules of a role, as words of ``ACL SETUSER``.

    Args:
        role: One of :data:`ROLES`.
        names: The stream's keys.
        known: Commands of the server, which refuses a user with an unknown one. None: all.

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
    """Create or replace a user, with the rules of a role and only this password.

    Args:
        client: A connection that may do so.
        user: Name of the user.
        password: At least 16 characters.
        role: One of :data:`ROLES`.
        names: The stream's keys.

    Raises:
        CiaoError: The password is too short, or the server does not know these rules.
    """
    if len(password) < 16:
        raise CiaoError(f"user {user!r}: expected a password of at least 16 characters")
    try:
        known = frozenset(bytes(name).decode() for name in client.execute_command("COMMAND LIST"))
        words = rules(role, names, known)
        client.execute_command("ACL SETUSER", user, "reset", "on", f">{password}", *words)
    except redis.ResponseError as error:
        raise CiaoError(f"cannot set user {user!r}: {error}; roles need Redis 7.0 or later") from error
