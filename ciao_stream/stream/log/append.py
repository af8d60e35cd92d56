"""The producer's way into the stream: one call that may be repeated for ever and appends once."""

from __future__ import annotations

from collections.abc import Mapping

from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.log.connection import TIMEOUT_S, RedisAddress, translated_errors
from ciao_stream.stream.log.keys import StreamNames
from ciao_stream.stream.log.messages import identity_of
from ciao_stream.stream.log.refusals import BadMessage, Reason

MAX_BACKLOG = 10_000
"""Most entries that the learner, or another group, may still have to take; what is kept behind it does not count."""

REMEMBER_S = 3600
"""Seconds for which Redis remembers a message (about 250 bytes each); longer than any producer repeats one."""

APPEND = """
-- One unit: either all of it is in the append-only file or nothing.
-- KEYS[1]   the stream
-- KEYS[2]   what is remembered of this message: 'POSITION DIGEST'
-- KEYS[3]   the dead letters, where one of them is sent again
-- ARGV[1]   most entries of a backlog
-- ARGV[2]   seconds for which the message is remembered
-- ARGV[3]   digest of its content
-- ARGV[4]   the learner's group
-- ARGV[5]   position of the dead letter
-- ARGV[6..] the entry: name, value, name, value ...
-- Returns what is remembered, from this call or an earlier one; {GROUP} where the backlog of that group is full.

-- Returns the group whose backlog is full: what it has not been given, or not acknowledged. Where the server cannot
-- tell, as after a restart amid the stream, it is all that the stream holds, until the group has read up to its end.
local function full(most)
  local length = redis.call('XLEN', KEYS[1])
  if length < most then
    return nil
  end
  local whose = ARGV[4]
  for _, reply in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local group = {}
    for i = 1, #reply, 2 do
      group[reply[i]] = reply[i + 1]
    end
    if math.min(length, group.lag and group.lag + group.pending or length) >= most then
      return group.name
    end
    if group.name == ARGV[4] then
      whose = nil
    end
  end
  return whose
end

local known = redis.call('GET', KEYS[2])
if not KEYS[3] then
  if known then
    return known
  end
elseif #redis.call('XRANGE', KEYS[3], ARGV[5], ARGV[5]) == 0 then
  return known or ARGV[5] .. ' ' .. ARGV[3]
end
local whose = full(tonumber(ARGV[1]))
if whose then
  return {whose}
end
known = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 6)) .. ' ' .. ARGV[3]
redis.call('SET', KEYS[2], known, 'EX', ARGV[2])
if KEYS[3] then
  redis.call('XDEL', KEYS[3], ARGV[5])
end
return known
"""


class BacklogError(CiaoError):
    """As much waits for the learner as may: wait too, or drop the frame and say so."""


class Appender:
    """Appends messages to a stream.

    "Accepted" means that :meth:`append` returned; with ``appendfsync everysec`` a power cut, other than a crash of
    the server, may still take about the last second.

    Args:
        address: The server.
        names: The stream's keys.
        max_backlog: Most entries that the learner, or another group, may still have to take.
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

    def append(self, fields: Mapping[bytes, bytes], dead_letter: str | None = None) -> str:
        """Append a message, once however often it is called with it, and return its position.

        Args:
            fields: As :mod:`ciao_stream.stream.log.messages` encodes them.
            dead_letter: Position of the dead letter that becomes this message; it is one no more.

        Raises:
            BadMessage: ``duplicate_id``: another message had this id; or it is not well formed.
            BacklogError: Too much waits already; later there may be room.
            RedisFullError: Redis is full; later there may be room.
            UnreachableError: No answer; the message may be in or not, and the same call settles it.
        """
        message_id, digest = identity_of(fields)
        position, known = self._add(message_id, digest, fields, dead_letter)
        if known != digest:
            what = "is another frame, or has another label" if message_id.startswith("frame:") else "says otherwise"
            raise BadMessage(Reason.DUPLICATE_ID, f"{message_id!r} at {position} {what}: send a label message instead")
        return position

    def _add(
        self, message_id: str, digest: str, fields: Mapping[bytes, bytes], dead_letter: str | None = None
    ) -> tuple[str, str]:
        """Return position and digest of the message that has this id, which is this one if there was none.

        Raises:
            BacklogError: Too much waits already.
        """
        names, most = self.names, self._limits[0]
        keys = [names.stream, names.seen(message_id), *([] if dead_letter is None else [names.dead])]
        words = [word for pair in fields.items() for word in pair]
        with translated_errors(self.address):
            reply = self._script(keys, (*self._limits, digest, names.group, dead_letter or "", *words))
        if isinstance(reply, list):
            group = bytes(reply[0]).decode()
            if group == names.group:
                raise BacklogError(f"stream {names.stream!r} holds {most:,} entries that the learner has not applied")
            raise BacklogError(
                f"stream {names.stream!r} holds {most:,} entries that predictors of group {group!r} have not answered: "
                f"start some, or drop it with `drop-group {group}`"
            )
        position, known = bytes(reply).decode("ascii").split()
        return position, known

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
