"""Sends dead letters again, once whatever refused them has been mended: as new messages, at the stream's end."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.task import TaskSpec
from ciao_stream.stream.log.append import MAX_BACKLOG, Appender, BacklogError
from ciao_stream.stream.log.connection import RedisAddress
from ciao_stream.stream.log.events import TaskDeclared
from ciao_stream.stream.log.keys import StreamNames
from ciao_stream.stream.log.log import DeadLetter, FrameLog
from ciao_stream.stream.log.messages import Fields, decode, renumbered
from ciao_stream.stream.log.refusals import BadMessage, Reason


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
        max_backlog: Most entries that the learner, or another group, may still have to take.

    Raises:
        BacklogError: Too much waits for the learner; call it again later.
        RedisFullError: Redis is full.
        UnreachableError: No answer; call it again.
    """
    producer, known, resent = f"dead-letters-{secrets.token_hex(4)}", dict(tasks), Resent()
    log, appender = FrameLog(address, names), Appender(address, names, max_backlog=max_backlog)
    try:
        for letter in log.dead_letters():
            try:
                fields = _mended(letter, known, producer, resent.sent)
            except CiaoError as error:
                resent.left[error.reason.value if isinstance(error, BadMessage) else str(error)] += 1
                continue
            try:
                appender.append(fields, letter.position)
            except BacklogError as error:
                raise BacklogError(f"{error}; {resent.sent:,} were sent, try again later") from error
            resent.sent += 1
    finally:
        log.close()
        appender.close()
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
