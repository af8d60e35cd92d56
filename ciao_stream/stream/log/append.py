"""Appends messages to a stream: the call may be repeated any number of times, and appends the message once."""

from __future__ import annotations

from collections.abc import Mapping

from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.log.connection import TIMEOUT_S, RedisAddress, translated_errors
from ciao_stream.stream.log.keys import StreamNames
from ciao_stream.stream.log.messages import identity_of
from ciao_stream.stream.log.refusals import BadMessage, Reason

MAX_BACKLOG = 10_000
"""Most entries that the learner, or another group, may still have to process; entries behind it do not count."""

REMEMBER_S = 3600
"""Seconds for which Redis remembers a message (about 250 bytes each); longer than any producer resends one."""

APPEND = """
-- Atomic: the append-only file contains all of it or nothing.
-- KEYS[1]   the stream
-- KEYS[2]   the record of this message: 'POSITION DIGEST'
-- KEYS[3]   the dead letters, if one of them is sent again
-- ARGV[1]   most entries of a backlog
-- ARGV[2]   seconds for which the record is kept
-- ARGV[3]   digest of its content
-- ARGV[4]   the learner's group
-- ARGV[5]   position of the dead letter
-- ARGV[6..] the entry: name, value, name, value ...
-- Returns the record, from this call or an earlier one; {GROUP} if the backlog of that group is full.

-- Returns the group whose backlog is full: entries that it has not read or not acknowledged. Where the server does not
-- know them, as after a restart, the whole stream counts until the group has read to its end.
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
    """The backlog is full: wait, or drop the frame and report it."""


class Appender:
    """Appends messages to a stream.

    A message is accepted once :meth:`append` returns. With ``appendfsync everysec`` a power cut may still lose about
    the last second; a crash of the server loses nothing.

    Args:
        address: The server.
        names: The stream's keys.
        max_backlog: Most entries that the learner, or another group, may still have to process.
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
        """Append a message, once however often this is called with it, and return its position.

        Args:
            fields: As :mod:`ciao_stream.stream.log.messages` encodes them.
            dead_letter: Position of the dead letter that becomes this message, and is removed.

        Raises:
            BadMessage: ``duplicate_id``: another message has this id; or the message is malformed.
            BacklogError: The backlog is full; try again later.
            RedisFullError: Redis is full; try again later.
            UnreachableError: No response; the message may have been appended or not. Call it again.
        """
        message_id, digest = identity_of(fields)
        position, known = self._add(message_id, digest, fields, dead_letter)
        if known != digest:
            what = "another frame or label" if message_id.startswith("frame:") else "other content"
            raise BadMessage(
                Reason.DUPLICATE_ID,
                f"{message_id!r} is at {position} with {what}: to correct a label, send a label message",
            )
        return position

    def _add(
        self, message_id: str, digest: str, fields: Mapping[bytes, bytes], dead_letter: str | None = None
    ) -> tuple[str, str]:
        """Return position and digest of the message with this id; this message is appended if there is none."""
        names, most = self.names, self._limits[0]
        keys = [names.stream, names.seen(message_id), *([] if dead_letter is None else [names.dead])]
        words = [word for pair in fields.items() for word in pair]
        with translated_errors(self.address):
            reply = self._script(keys, (*self._limits, digest, names.group, dead_letter or "", *words))
        if isinstance(reply, list):
            group = bytes(reply[0]).decode()
            if group == names.group:
                raise BacklogError(f"stream {names.stream!r} is full: {most:,} entries wait for the learner")
            raise BacklogError(
                f"stream {names.stream!r} is full: {most:,} entries wait for predictors of group {group!r}: "
                f"start some, or drop the group with `drop-group {group}`"
            )
        position, known = bytes(reply).decode("ascii").split()
        return position, known

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
