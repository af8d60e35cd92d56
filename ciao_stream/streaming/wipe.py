"""Wipes personal data: faces, what was computed from single faces, and their names. What was learned stays."""

from __future__ import annotations

import time
from dataclasses import dataclass

import redis

from ciao_stream.encoder import Encoder
from ciao_stream.streaming.checkpoint import Checkpoints
from ciao_stream.streaming.connection import RedisAddress, told
from ciao_stream.streaming.learner_folder import LearnerFolder
from ciao_stream.streaming.log import PAGE
from ciao_stream.streaming.names import StreamNames

REWRITE_S = 60.0
"""Seconds within which a server must have written its file anew."""


@dataclass(frozen=True)
class Wiped:
    """What was wiped.

    Args:
        entries: Messages in the stream.
        dead_letters: Dead letters.
        remembered: Ids of messages.
        rewritten: Whether the server's file on disk was written anew without them; else they stand there until it is.
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
        with told(address):
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
    """Write the newest checkpoint anew without single faces, and drop all others.

    Args:
        folder: The learner's; claimed.
        encoder: What the learner stands on.

    Returns:
        How many checkpoints were dropped.

    Raises:
        CiaoError: A checkpoint cannot be read or written.
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
    return len(old)


def _rewrite(client: redis.Redis) -> bool:
    """Have the server write its append-only file anew: what is deleted stands there until then."""
    try:
        if not client.info("persistence")["aof_enabled"]:
            return True
        client.bgrewriteaof()
    except redis.ResponseError:  # not allowed, or one is under way that began before
        return False
    end = time.monotonic() + REWRITE_S
    while time.monotonic() < end:
        state = client.info("persistence")
        if not (state["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"]):
            return bool(state["aof_last_bgrewrite_status"] == "ok")
        time.sleep(0.05)
    return False
