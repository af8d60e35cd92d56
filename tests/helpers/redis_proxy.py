"""A proxy between a client and a Redis server that can lose the reply to one command."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from ciao_stream.stream.log.connection import RedisAddress


class RedisProxy:
    """Listens on TCP and forwards everything to a server's socket, until asked to lose a reply."""

    def __init__(self, server: Path) -> None:
        self.server = server
        self.lost = 0
        self._to_lose: bytes | None = None
        self._silent = False
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = RedisAddress("redis", host="127.0.0.1", port=self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_reply(self, command: str, silent: bool = False) -> None:
        """Forward the next such command, and lose its reply.

        ``silent``: the connections stay open, as when a cable is pulled; else they are closed.
        """
        self._to_lose, self._silent = command.encode() + b"\r\n", silent

    def close(self) -> None:
        """Close all connections, and accept no more."""
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(str(self.server))
                except OSError:  # it was killed, and will return
                    client.close()
                    server.close()
                    continue
                state = {"losing": False}
                threading.Thread(target=self._requests, args=(client, server, state), daemon=True).start()
                threading.Thread(target=self._replies, args=(client, server, state), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, state: dict) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                if self._to_lose is not None and self._to_lose in data.upper():
                    self._to_lose, state["losing"] = None, True
                server.sendall(data)
            if not (state["losing"] and self._silent):
                server.shutdown(socket.SHUT_RDWR)

    def _replies(self, client: socket.socket, server: socket.socket, state: dict) -> None:
        with contextlib.suppress(OSError), client, server:
            while data := server.recv(1 << 16):
                if state["losing"]:
                    self.lost += 1
                    if not self._silent:
                        client.shutdown(socket.SHUT_RDWR)
                        return
                else:
                    client.sendall(data)


@contextlib.contextmanager
def between(server: Path) -> Iterator[RedisProxy]:
    """Yield a proxy in front of a server's socket."""
    proxy = RedisProxy(server)
    try:
        yield proxy
    finally:
        proxy.close()
