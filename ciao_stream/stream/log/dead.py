"""Dead letters: messages that were refused, kept with the reason, and sent again once the cause is fixed.

One that is sent again becomes a new message at the end of the stream.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.task import TaskSpec
from ciao_stream.stream.log.append import MAX_BACKLOG, Appender, BacklogError
from ciao_stream.stream.log.connection import RedisAddress, translated_errors
from ciao_stream.stream.log.events import TaskDeclared
from ciao_stream.stream.log.keys import Entry, StreamNames, entries_of, text_of
from ciao_stream.stream.log.messages import Fields, decode, renumbered
from ciao_stream.stream.log.refusals import BadMessage, Reason

DEAD_BYTES = 64 * 1024
"""Most bytes of a refused message that its dead letter keeps."""

IN_ONE_GO = 50
"""Dead letters per command when reading all."""


@dataclass(frozen=True, eq=False)
class DeadLetter:
    """A message that was refused.

    Args:
        position: Its position in the stream.
        reason: Value of a :class:`~ciao_stream.stream.log.refusals.Reason`.
        message: What was wrong.
        n_bytes: Size of all its values.
        sha256: Digest of all its values.
        fields: Its fields; values are cut short, or dropped, after :data:`DEAD_BYTES`.
    """

    position: str
    reason: str
    message: str
    n_bytes: int
    sha256: str
    fields: Mapping[bytes, bytes]

    @property
    def whole(self) -> bool:
        """Whether :attr:`fields` are complete."""
        return sum(map(len, self.fields.values())) == self.n_bytes


def letter_fields(reason: str, message: str, fields: Mapping[bytes, bytes]) -> dict[Any, Any]:
    """Return what the stream of dead letters keeps of a message.

    Args:
        reason: Value of a :class:`~ciao_stream.stream.log.refusals.Reason`.
        message: What is wrong.
        fields: The message's fields.
    """
    content = b"".join(fields.values())
    digest = hashlib.sha256(content).hexdigest()
    return {"reason": reason, "message": message, "n_bytes": len(content), "sha256": digest, **_cut(fields)}


def dead_letters(address: RedisAddress, names: StreamNames) -> Iterator[DeadLetter]:
    """Yield the dead letters, oldest first.

    Raises:
        UnreachableError: No response.
    """
    start = "-"
    with contextlib.closing(address.client()) as client:
        while True:
            with translated_errors(address):
                page = client.xrange(names.dead, start, count=IN_ONE_GO)
            if not page:
                return
            for entry in entries_of([[names.dead, page]]):
                yield _dead_letter(entry)
            start = f"({entry.position}"


@dataclass
class Resent:
    """What became of the dead letters.

    Args:
        sent: Number of letters that are messages again.
        left: Number of letters that remain, by reason.
    """

    sent: int = 0
    left: Counter[str] = field(default_factory=Counter)


def resend(
    address: RedisAddress, names: StreamNames, tasks: Mapping[str, TaskSpec], max_backlog: int = MAX_BACKLOG
) -> Resent:
    """Send all dead letters again that would be accepted now, as messages of a new producer.

    Letters that crashed the process remain, and so do incomplete ones.

    Args:
        address: The server.
        names: The stream's keys.
        tasks: The tasks that the learner knows.
        max_backlog: Most entries that the learner, or another group, may still have to process.

    Raises:
        BacklogError: The backlog is full; call it again later.
        RedisFullError: Redis is full.
        UnreachableError: No response; call it again.
    """
    producer, known, resent = f"dead-letters-{secrets.token_hex(4)}", dict(tasks), Resent()
    with contextlib.closing(Appender(address, names, max_backlog=max_backlog)) as appender:
        for letter in dead_letters(address, names):
            try:
                fields = _corrected(letter, known, producer, resent.sent)
            except CiaoError as error:
                resent.left[error.reason.value if isinstance(error, BadMessage) else str(error)] += 1
                continue
            try:
                appender.append(fields, letter.position)
            except BacklogError as error:
                raise BacklogError(f"{error}; {resent.sent:,} dead letters were sent, try again later") from error
            resent.sent += 1
    return resent


def _corrected(letter: DeadLetter, known: dict[str, TaskSpec], producer: str, seq: int) -> Fields:
    """Return a dead letter as a message."""
    if letter.reason == Reason.CRASH.value:
        raise BadMessage(Reason.CRASH, letter.message)
    if not letter.whole:
        raise CiaoError("incomplete")
    event = decode(f"{time.time_ns() // 1_000_000}-0", letter.fields, known)
    if isinstance(event, TaskDeclared):
        known[event.task] = event.spec
    return renumbered(letter.fields, producer=producer, seq=seq)


def _cut(fields: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return fields with at most :data:`DEAD_BYTES` of values, small ones first, under names of their own."""
    kept: dict[bytes, bytes] = {}
    room = DEAD_BYTES
    for name, value in sorted(fields.items(), key=lambda item: len(item[1])):
        if room < len(name):
            break
        kept[b"field:" + name] = value[: room - len(name)]
        room -= len(name) + len(kept[b"field:" + name])
    return kept


def _dead_letter(entry: Entry) -> DeadLetter:
    values = entry.fields
    return DeadLetter(
        entry.position,
        text_of(values[b"reason"]),
        text_of(values[b"message"]),
        int(values[b"n_bytes"]),
        text_of(values[b"sha256"]),
        {name.removeprefix(b"field:"): value for name, value in values.items() if name.startswith(b"field:")},
    )
