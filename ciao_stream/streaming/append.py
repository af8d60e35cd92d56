"""The producer's way into the stream: one call that may be repeated for ever and appends once."""

from __future__ import annotations

from collections.abc import Mapping

from ciao_stream.exceptions import CiaoError
from ciao_stream.streaming.connection import TIMEOUT_S, RedisAddress, told
from ciao_stream.streaming.messages import identity_of
from ciao_stream.streaming.names import StreamNames
from ciao_stream.streaming.refusals import BadMessage, Reason

MAX_BACKLOG = 10_000
"""Most entries that the stream may hold; the learner lets go of those that its oldest kept checkpoint covers."""

REMEMBER_S = 3600
"""Seconds for which Redis remembers a message (about 250 bytes each); longer than any producer repeats one."""

APPEND = """
-- One unit: either all of it is in the append-only file or nothing.
-- KEYS[1]   the stream
-- KEYS[2]   what is remembered of this message: 'POSITION DIGEST'
-- ARGV[1]   most entries that the stream may hold
-- ARGV[2]   seconds for which the message is remembered
-- ARGV[3]   digest of its content
-- ARGV[4..] the entry: name, value, name, value ...
-- Returns what is remembered, from this call or an earlier one; nil where the stream is full.
local known = redis.call('GET', KEYS[2])
if known then
  return known
end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then
  return false
end
known = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 4)) .. ' ' .. ARGV[3]
redis.call('SET', KEYS[2], known, 'EX', ARGV[2])
return known
"""


class BacklogError(CiaoError):
    """The stream holds as much as it may: wait for the learner, or drop the frame and say so."""


class Appender:
    """Appends messages to a stream.

    "Accepted" means that :meth:`append` returned; with ``appendfsync everysec`` a power cut, other than a crash of
    the server, may still take about the last second.

    Args:
        address: The server.
        names: The stream's keys.
        max_backlog: Most entries that the stream may hold.
        remember_s: Seconds for which a message is remembered.
        timeout_s: Seconds after which a reply counts as lost.
    """

    def __init__(
        self,
        address: RedisAddress,
        names: StreamNames | None = None,
        *,
        max_backlog: int = MAX_BACKLOG,
        remember_s: int = REMEMBER_S,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.address = address
        self.names = names or StreamNames()
        self._limits = (max_backlog, remember_s)
        self._client = address.client(timeout_s)
        self._script = self._client.register_script(APPEND)

    def append(self, fields: Mapping[bytes, bytes]) -> str:
        """Append a message, once however often it is called with it, and return its position.

        Args:
            fields: As :mod:`ciao_stream.streaming.messages` encodes them.

        Raises:
            BadMessage: ``duplicate_id``: another message had this id; or it is not well formed.
            BacklogError: The stream is full; later there may be room.
            RedisFullError: Redis is full; later there may be room.
            UnreachableError: No answer; the message may be in or not, and the same call settles it.
        """
        message_id, digest = identity_of(fields)
        keys = (self.names.stream, self.names.seen(message_id))
        words = [word for pair in fields.items() for word in pair]
        with told(self.address):
            reply = self._script(keys, (*self._limits, digest, *words))
        if reply is None:
            raise BacklogError(
                f"stream {self.names.stream!r} holds {self._limits[0]:,} entries that the learner has not let go of"
            )
        position, known = bytes(reply).decode("ascii").split()
        if known != digest:
            what = "is another frame, or has another label" if message_id.startswith("frame:") else "says otherwise"
            raise BadMessage(Reason.DUPLICATE_ID, f"{message_id!r} at {position} {what}: send a label message instead")
        return position

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
