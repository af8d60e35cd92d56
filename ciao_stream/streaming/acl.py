"""What each part of the system may do in Redis, as rules for ``ACL SETUSER`` (Redis 7.0, Valkey 7.2, and later).

Give every process a user of its own role, and switch the default user off (``ACL SETUSER default off``).
"""

from __future__ import annotations

from typing import Literal, get_args

import redis

from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.streaming.names import StreamNames

Role = Literal["producer", "learner", "viewer"]
"""``producer`` appends; ``learner`` reads, acknowledges, trims and writes dead letters; ``viewer`` looks on."""

ROLES: tuple[Role, ...] = get_args(Role)

_KEYS: dict[Role, tuple[str, ...]] = {
    "producer": ("%RW~{stream}", "%RW~{stream}:seen:*"),
    "learner": ("%RW~{stream}", "%W~{stream}:dead"),
    "viewer": ("%R~{stream}", "%R~{stream}:dead"),
}

_COMMANDS: dict[Role, tuple[str, ...]] = {
    "producer": ("eval", "evalsha", "script|load", "xadd", "set", "get", "xlen"),
    "learner": (
        "xreadgroup", "xack", "xgroup|create", "xgroup|setid", "xinfo|stream", "xinfo|groups", "xpending", "xrange",
        "xlen", "xtrim", "xsetid", "xadd",
    ),
    "viewer": ("xrange", "xrevrange", "xread", "xlen", "xinfo|stream", "xinfo|groups"),
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

    >>> " ".join(rules("viewer"))[:62]
    'resetkeys %R~frames %R~frames:dead resetchannels -@all +xrange'
    """
    if role not in ROLES:
        raise UnknownNameError("role", role, ROLES)
    stream = (names or StreamNames()).stream
    commands = [name for name in (*_COMMANDS[role], *_CONNECTING) if known is None or name in known]
    keys = [key.format(stream=stream) for key in _KEYS[role]]
    return ["resetkeys", *keys, "resetchannels", "-@all", *(f"+{name}" for name in commands)]


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
