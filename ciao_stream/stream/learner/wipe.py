"""Wipe: delete faces, data computed from single faces, and frame ids. What the worlds learned stays."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis

from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.learner.checkpoint import Checkpoints
from ciao_stream.stream.learner.folder import LearnerFolder
from ciao_stream.stream.log.connection import RedisAddress, translated_errors
from ciao_stream.stream.log.keys import StreamNames
from ciao_stream.stream.log.log import PAGE

if TYPE_CHECKING:
    from ciao_stream.encoders.base import Encoder

REWRITE_S = 60.0
"""Timeout in seconds for the server to rewrite each of its files."""


@dataclass(frozen=True)
class Wiped:
    """Numbers of what was deleted.

    Args:
        entries: Messages in the stream.
        dead_letters: Dead letters.
        remembered: Message ids.
        rewritten: Whether the server has rewritten its files on disk; otherwise the data stay in them until it does.
    """

    entries: int
    dead_letters: int
    remembered: int
    rewritten: bool


def wipe_stream(address: RedisAddress, names: StreamNames) -> Wiped:
    """Empty the stream, its dead letters, predictions and message ids; new positions continue after the old ones.

    Args:
        address: The server; its user needs the permission.
        names: The stream's keys.

    Raises:
        CiaoError: The user has no permission.
        UnreachableError: No answer; call it again.
    """
    with address.client() as client, translated_errors(address):
        entries, dead = (int(client.xtrim(key, maxlen=0, approximate=False)) for key in (names.stream, names.dead))
        client.xtrim(names.results, maxlen=0, approximate=False)
        remembered, keys = 0, []
        for key in client.scan_iter(names.seen("*"), count=PAGE):
            keys.append(key)
            if len(keys) == PAGE:
                remembered += int(client.unlink(*keys))
                keys = []
        remembered += int(client.unlink(*keys)) if keys else 0
        return Wiped(entries, dead, remembered, _rewrite(client))


def wipe_checkpoints(folder: LearnerFolder, encoder: Encoder) -> int:
    """Rewrite the newest checkpoint and the exported worlds without single faces; delete all other checkpoints.

    Args:
        folder: The learner's; claimed.
        encoder: The learner's.

    Returns:
        How many checkpoints were deleted.

    Raises:
        CiaoError: A checkpoint cannot be read, or a file cannot be written.
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
    if folder.worlds.exists() and (problems := restored.learner.save_worlds(folder.worlds)):
        raise CiaoError("; ".join(problems))
    return len(old)


def _rewrite(client: redis.Redis) -> bool:
    """Make the server rewrite its append-only file and snapshot, which contain deleted data until then."""
    try:
        if client.info("persistence")["aof_enabled"]:
            client.bgrewriteaof()
            if not _done(client, ("aof_rewrite_in_progress", "aof_rewrite_scheduled"), "aof_last_bgrewrite_status"):
                return False
        if not any(client.config_get("save").values()):
            return True
        client.bgsave(schedule=False)
    except redis.ResponseError:  # no permission, or an earlier rewrite is still running
        return False
    return _done(client, ("rdb_bgsave_in_progress",), "rdb_last_bgsave_status")


def _done(client: redis.Redis, busy: tuple[str, ...], status: str) -> bool:
    """Wait until none of these is running; return whether the last one succeeded in time."""
    end = time.monotonic() + REWRITE_S
    while time.monotonic() < end:
        state = client.info("persistence")
        if not any(state[name] for name in busy):
            return bool(state[status] == "ok")
        time.sleep(0.05)
    return False
