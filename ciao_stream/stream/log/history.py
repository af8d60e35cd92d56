"""What the stream still holds, read from anywhere in it and without a trace."""

from __future__ import annotations

from collections.abc import Iterator

from ciao_stream.stream.log.connection import RedisAddress, told
from ciao_stream.stream.log.keys import StreamNames
from ciao_stream.stream.log.log import PAGE, Entry, entries_of
from ciao_stream.stream.log.positions import START

IN_ONE_GO = PAGE // 5
"""Entries per command; each may be of 256 KiB."""


class History:
    """Looks at a stream.

    Args:
        address: The server.
        names: The stream's keys.
    """

    def __init__(self, address: RedisAddress, names: StreamNames | None = None) -> None:
        self.address = address
        self.names = names or StreamNames()
        self._client = address.client()

    def entries(self, after: str = START, upto: str = "+") -> Iterator[Entry]:
        """Yield entries, oldest first.

        Args:
            after: Position before the first of them.
            upto: Position of the last of them; ``+`` for all that there are.

        Raises:
            UnreachableError: No answer.
        """
        while True:
            with told(self.address):
                page = self._client.xrange(self.names.stream, f"({after}", upto, count=IN_ONE_GO)
            entries = entries_of([[self.names.stream, page]])
            yield from entries
            if not entries:
                return
            after = entries[-1].position

    def holds_all_after(self, position: str) -> bool:
        """Say whether nothing after a position was let go of.

        Args:
            position: Of an entry, which :meth:`~ciao_stream.stream.log.log.FrameLog.trim` leaves as a mark; or START.

        Raises:
            UnreachableError: No answer.
        """
        stream = self.names.stream
        with told(self.address):
            if position != START:
                return bool(self._client.xrange(stream, position, position, count=1))
            state = self._client.xinfo_stream(stream)
        return bool(state.get("entries-added", state["length"]) == state["length"])

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
