"""Wipes personal data: faces, what was computed from single faces, and their names. What was learned stays."""

from __future__ import annotations

import time
from dataclasses import dataclass

import redis

from ciao_stream.encoders.base import Encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.learner.checkpoint import Checkpoints
from ciao_stream.stream.learner.export import export_worlds
from ciao_stream.stream.learner.folder import LearnerFolder
from ciao_stream.stream.log.connection import RedisAddress, translated_errors
from ciao_stream.stream.log.keys import StreamNames
from ciao_stream.stream.log.log import PAGE

REWRITE_S = 60.0
"""Seconds within which a server must have written each of its files anew."""


@dataclass(frozen=True)
class Wiped:
    """What was wiped.

    Args:
        entries: Messages in the stream.
        dead_letters: Dead letters.
        remembered: Ids of messages.
        rewritten: Whether the server's files on disk were written anew without them; else they stand there until then.
    """

    entries: int
    dead_letters: int
    remembered: int
    rewritten: bool


def wipe_stream(address: RedisAddress, names: StreamNames) -> Wiped:
    """Empty the stream, dead letters, answers and the memory of message ids; positions go on from where they are.

    Args:
        address: The server; the user must be allowed to do so.
        names: The stream's keys.

    Raises:
        CiaoError: The user may not do this.
        UnreachableError: No answer; call it again.
    """
    client = address.client()
    try:
        with translated_errors(address):
            entries, dead = (int(client.xtrim(key, maxlen=0, approximate=False)) for key in (names.stream, names.dead))
            client.xtrim(names.results, maxlen=0, approximate=False)
            remembered = 0
            keys = []
            for key in client.scan_iter(names.seen("*"), count=PAGE):
                keys.append(key)
                if len(keys) == PAGE:
                    remembered += int(client.unlink(*keys))
                    keys = []
            remembered += int(client.unlink(*keys)) if keys else 0
            return Wiped(entries, dead, remembered, _rewrite(client))
    finally:
        client.close()


def wipe_checkpoints(folder: LearnerFolder, encoder: Encoder) -> int:
    """Write the newest checkpoint, and the worlds that others load, anew without single faces; drop all others.

    Args:
        folder: The learner's; claimed.
        encoder: What the learner stands on.

    Returns:
        How many checkpoints were dropped.

    Raises:
        CiaoError: A checkpoint cannot be read, or a file not written.
    """
    checkpoints = Checkpoints(folder.checkpoints)
    restored = checkpoints.load(encoder)
    if restored is None:
        return 0
    restored.learner.forget_faces()
    saved = checkpoints.save(restored.learner, restored.notes)
    old = [kept for kept in checkpoints.kept() if kept.number != saved.number]
    for kept in old:
        kept.path.unlink()
    if folder.worlds.exists() and (problems := export_worlds(restored.learner, folder.worlds)):
        raise CiaoError("; ".join(problems))
    return len(old)


def _rewrite(client: redis.Redis) -> bool:
    """Have the server write its append-only file and its snapshot anew: what is deleted stands there until then."""
    try:
        if client.info("persistence")["aof_enabled"]:
            client.bgrewriteaof()
            if not _done(client, ("aof_rewrite_in_progress", "aof_rewrite_scheduled"), "aof_last_bgrewrite_status"):
                return False
        if not any(client.config_get("save").values()):
            return True
        client.bgsave(schedule=False)
    except redis.ResponseError:  # not allowed, or one is under way that began before
        return False
    return _done(client, ("rdb_bgsave_in_progress",), "rdb_last_bgsave_status")


def _done(client: redis.Redis, busy: tuple[str, ...], status: str) -> bool:
    """Wait until the server is at none of these any more; say whether it came to a good end in time."""
    end = time.monotonic() + REWRITE_S
    while time.monotonic() < end:
        state = client.info("persistence")
        if not any(state[name] for name in busy):
            return bool(state[status] == "ok")
        time.sleep(0.05)
    return False
