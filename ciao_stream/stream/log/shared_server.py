"""One private server for all commands on a data folder: whoever comes first starts it, the others join it.

It ends with the one who started it; what it held is on disk. Whoever still needs it then asks for the address again,
and the first one to ask starts it anew.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType

import redis

from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.log.connection import RedisAddress, UnreachableError
from ciao_stream.stream.log.server import START_S, EmbeddedServer, FolderTakenError, running_at

LOOK_S = 0.05
"""Seconds between looks at a server that another process is starting."""


def default_data() -> Path:
    """Return ``ciao_stream/stream`` in ``$XDG_DATA_HOME``, else in ``~/.local/share``.

    Raises:
        CiaoError: There is no home.
    """
    if base := os.environ.get("XDG_DATA_HOME"):
        return Path(base) / "ciao_stream" / "stream"
    home = os.environ.get("HOME")
    if not home:
        raise CiaoError("there is no home folder to keep the stream in: give a folder with --data")
    return Path(home) / ".local" / "share" / "ciao_stream" / "stream"


class SharedServer:
    """The private server of a data folder, for use in a ``with`` block; call it for the address.

    Args:
        data: Folder of the append-only file.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        self._own: EmbeddedServer | None = None

    def __call__(self) -> RedisAddress:
        """Return the address of a server that answers, started now where none runs.

        To be called at the start, and again after every :class:`~ciao_stream.stream.log.connection.UnreachableError`:
        the address may be another one then.

        Raises:
            CiaoError: There is no server to run, or the folder cannot be written.
            UnreachableError: For a minute another process has been starting the server.
        """
        if self._own is not None:
            try:
                self._own.start()
                return self._own.address
            except FolderTakenError:
                self._own = None  # it died, and another process was quicker to start it again
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            address = running_at(self.data)
            if address is None:
                if own := self._start():
                    return own
            elif _answers(address):
                return address
            time.sleep(LOOK_S)
        raise UnreachableError(f"the server of {self.data} has not answered for {START_S:.0f} s")

    def __enter__(self) -> SharedServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server if it was started here."""
        if self._own is not None:
            self._own.stop()
            self._own = None

    def _start(self) -> RedisAddress | None:
        """Start a server; None where somebody else was quicker."""
        own = EmbeddedServer(self.data, patience_s=LOOK_S)
        try:
            own.start()
        except FolderTakenError:
            return None
        self._own = own
        return own.address


def _answers(address: RedisAddress) -> bool:
    client = address.reader(timeout_s=1.0)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()
