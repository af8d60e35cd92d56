"""Sends dead letters again, once whatever refused them has been mended: as new messages, at the stream's end."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ciao_stream.exceptions import CiaoError
from ciao_stream.streaming.append import MAX_BACKLOG, REMEMBER_S, BacklogError
from ciao_stream.streaming.connection import RedisAddress, told
from ciao_stream.streaming.events import TaskDeclared
from ciao_stream.streaming.log import DeadLetter, FrameLog
from ciao_stream.streaming.messages import Fields, decode, identity_of, renumbered
from ciao_stream.streaming.names import StreamNames
from ciao_stream.streaming.refusals import BadMessage, Reason
from ciao_stream.tasks import TaskSpec

RESEND = """
-- One unit: a dead letter becomes a new entry, or nothing happens.
-- KEYS[1]   the stream
-- KEYS[2]   what is remembered of the message: 'POSITION DIGEST'
-- KEYS[3]   the dead letters
-- ARGV[1]   most entries that the stream may hold
-- ARGV[2]   seconds for which the message is remembered
-- ARGV[3]   digest of its content
-- ARGV[4]   position of the dead letter
-- ARGV[5..] the entry: name, value, name, value ...
-- Returns 1; also where an earlier call did it. 0 where the stream is full.
if #redis.call('XRANGE', KEYS[3], ARGV[4], ARGV[4]) == 0 then
  return 1
end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then
  return 0
end
local position = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 5))
redis.call('SET', KEYS[2], position .. ' ' .. ARGV[3], 'EX', ARGV[2])
redis.call('XDEL', KEYS[3], ARGV[4])
return 1
"""


@dataclass
class Resent:
    """What became of the dead letters.

    Args:
        sent: How many are messages again.
        left: How many are still dead, by why.
    """

    sent: int = 0
    left: Counter[str] = field(default_factory=Counter)


def resend(
    address: RedisAddress, names: StreamNames, tasks: Mapping[str, TaskSpec], max_backlog: int = MAX_BACKLOG
) -> Resent:
    """Send all dead letters again that would be taken now, as messages of a producer of their own.

    Those that ended the process are left where they are, and so are those of which only a part was kept.

    Args:
        address: The server.
        names: The stream's keys.
        tasks: The tasks that the learner knows.
        max_backlog: Most entries that the stream may hold.

    Raises:
        BacklogError: The stream is full; call it again later.
        RedisFullError: Redis is full.
        UnreachableError: No answer; call it again.
    """
    producer, known, resent = f"dead-letters-{secrets.token_hex(4)}", dict(tasks), Resent()
    log, client = FrameLog(address, names), address.client()
    script = client.register_script(RESEND)
    try:
        for letter in log.dead_letters():
            try:
                fields = _mended(letter, known, producer, resent.sent)
            except CiaoError as error:
                resent.left[error.reason.value if isinstance(error, BadMessage) else str(error)] += 1
                continue
            message_id, digest = identity_of(fields)
            keys = (names.stream, names.seen(message_id), names.dead)
            words = [word for pair in fields.items() for word in pair]
            with told(address):
                done = script(keys, (max_backlog, REMEMBER_S, digest, letter.position, *words))
            if not done:
                raise BacklogError(f"stream {names.stream!r} is full: {resent.sent:,} were sent, try again later")
            resent.sent += 1
    finally:
        log.close()
        client.close()
    return resent


def _mended(letter: DeadLetter, known: dict[str, TaskSpec], producer: str, seq: int) -> Fields:
    """Return a dead letter as a message.

    Raises:
        CiaoError: It would be refused again.
    """
    if letter.reason == Reason.CRASH.value:
        raise BadMessage(Reason.CRASH, letter.message)
    if not letter.whole:
        raise CiaoError("only a part of it was kept")
    event = decode(f"{time.time_ns() // 1_000_000}-0", letter.fields, known)
    if isinstance(event, TaskDeclared):
        known[event.task] = event.spec
    return renumbered(letter.fields, producer=producer, seq=seq)
