"""One file on a real HTTP server on a local port, with the faults of servers and networks."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Site:
    """What the server holds and how it misbehaves; may be changed while it runs.

    Args:
        body: The file.
        length: Whether its length is sent; without it, the file comes in chunks.
        statuses: Status codes of the first responses, sent instead of the file.
        cuts: How many bytes the next responses send before the connection is cut; None for all.
        hold_after: After how many bytes a response waits for ``go``.
        seen: The headers of every request, in order.
    """

    body: bytes
    length: bool = True
    statuses: list[int] = field(default_factory=list)
    cuts: list[int | None] = field(default_factory=list)
    hold_after: int | None = None
    held: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    seen: list[dict[str, str]] = field(default_factory=list)


@contextlib.contextmanager
def serving(site: Site) -> Iterator[str]:
    """Serve the file and yield its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            site.seen.append(dict(self.headers))
            with contextlib.suppress(ConnectionError):  # the client may have disconnected
                _answer(self, site)

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            if not isinstance(sys.exc_info()[1], ConnectionError):  # tests kill clients
                super().handle_error(request, client_address)

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/weights.bin"
    finally:
        site.go.set()
        server.shutdown()
        server.server_close()
        thread.join()


def closed_address() -> str:
    """Return an address where no server listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/weights.bin"


def _answer(request: BaseHTTPRequestHandler, site: Site) -> None:
    if site.statuses:
        request.send_response(site.statuses.pop(0))
        request.send_header("Content-Length", "0")
        request.end_headers()
        return
    request.send_response(200)
    length = ("Content-Length", str(len(site.body))) if site.length else ("Transfer-Encoding", "chunked")
    request.send_header(*length)
    request.end_headers()
    _send(request, site, site.body)


def _send(request: BaseHTTPRequestHandler, site: Site, body: bytes) -> None:
    cut = site.cuts.pop(0) if site.cuts else None
    body = body[:cut]
    hold = min(len(body), site.hold_after if site.hold_after is not None else len(body))
    _write(request, site, body[:hold])
    if hold < len(body):
        site.held.set()
        site.go.wait(300)
        _write(request, site, body[hold:])
    if cut is not None:
        request.close_connection = True
        request.connection.shutdown(socket.SHUT_RDWR)
    elif not site.length:
        request.wfile.write(b"0\r\n\r\n")


def _write(request: BaseHTTPRequestHandler, site: Site, part: bytes) -> None:
    if part:
        request.wfile.write(part if site.length else b"%x\r\n%s\r\n" % (len(part), part))
        request.wfile.flush()
