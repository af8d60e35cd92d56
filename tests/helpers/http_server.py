"""One file behind a real HTTP server on a local port, with the faults that servers and networks have."""

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
        etag: Its version, None for none.
        modified: Its date, None for none.
        ranges: Whether a part of it may be asked for.
        if_range: Whether the version in If-Range is looked at.
        content_type: What it calls itself.
        length: Whether its length is told; without, it comes in chunks.
        statuses: Answers to the first requests, instead of the file.
        retry_after: Goes with these.
        cuts: How many bytes the next answers send before the connection is cut; None for all.
        hold_after: After how many bytes an answer waits for ``go``.
        seen: The headers of every request, in order.
    """

    body: bytes
    etag: str | None = '"v1"'
    modified: str | None = None
    ranges: bool = True
    if_range: bool = True
    content_type: str = "application/octet-stream"
    length: bool = True
    statuses: list[int] = field(default_factory=list)
    retry_after: str | None = None
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
            with contextlib.suppress(ConnectionError):  # the client may be gone
                _answer(self, site)

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            if not isinstance(sys.exc_info()[1], ConnectionError):  # clients that are killed are what is tested
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
    """Return an address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/weights.bin"


def _answer(request: BaseHTTPRequestHandler, site: Site) -> None:
    if site.statuses:
        request.send_response(site.statuses.pop(0))
        if site.retry_after:
            request.send_header("Retry-After", site.retry_after)
        request.send_header("Content-Length", "0")
        request.end_headers()
        return
    start = _start(request, site)
    if start is not None and start >= len(site.body):
        request.send_response(416)
        request.send_header("Content-Range", f"bytes */{len(site.body)}")
        request.send_header("Content-Length", "0")
        request.end_headers()
        return
    body = site.body[start or 0 :]
    request.send_response(200 if start is None else 206)
    if start is not None:
        request.send_header("Content-Range", f"bytes {start}-{len(site.body) - 1}/{len(site.body)}")
    request.send_header("Content-Type", site.content_type)
    for name, value in (("ETag", site.etag), ("Last-Modified", site.modified)):
        if value:
            request.send_header(name, value)
    request.send_header(*(("Content-Length", str(len(body))) if site.length else ("Transfer-Encoding", "chunked")))
    request.end_headers()
    _send(request, site, body)


def _start(request: BaseHTTPRequestHandler, site: Site) -> int | None:
    """Return where the answer begins, None for the whole file."""
    asked = request.headers.get("Range")
    version = request.headers.get("If-Range")
    if not asked or not site.ranges or (site.if_range and version not in (None, site.etag, site.modified)):
        return None
    return int(asked.removeprefix("bytes=").removesuffix("-"))


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
