"""Bring a file of weights here: from the network, or from where the user has it.

A download goes to ``FILE.part``, with ``FILE.part.json`` that says which version of which address it is of; what has
arrived survives a cut connection, Ctrl-C, kill -9 and a full disk, and the next attempt goes on behind it, if the
server still has that version [0]. The file takes its name only when its hash is right.

References:
    - [0] RFC 9110, HTTP Semantics, sections 13.1.5 (If-Range) and 14 (Range Requests)
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import requests

from ciao_stream.encoders.weights import store
from ciao_stream.encoders.weights.manifest import Entry
from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.atomic import write_text

Watch = Callable[[int, "int | None"], object]
"""Is told how many bytes are here, and of how many if that is known."""

Say = Callable[[str], object]
"""Is told what a waiting user would want to know."""


def nobody(*_: object) -> None:
    """Take no notice."""


_BLOCK = 2**20
_NETWORK_BLOCK = 2**16  # small: what is still on its way to a whole block is lost when the connection breaks
_PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Answers after which the same request may well succeed."""


@dataclass(frozen=True)
class Patience:
    """How long to try.

    Args:
        tries: Attempts that bring nothing new, after which it is given up.
        pause: Seconds before the second attempt, doubled with each further one.
        longest: The longest pause, and the longest that a server may ask for.
        connect: Seconds for the connection.
        read: Seconds in which something must arrive.
    """

    tries: int = 5
    pause: float = 1.0
    longest: float = 30.0
    connect: float = 10.0
    read: float = 60.0


class _AgainError(Exception):
    """This attempt failed in a way that a further one may not."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class Part:
    """What has arrived of a file, and the running sha256 over it.

    Args:
        path: The file that it is to become.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(f"{path.name}.part")
        self.about = path.with_name(f"{path.name}.part.json")
        self.version: str | None = None
        self.size = 0
        self.digest = hashlib.sha256()

    def resume(self, url: str) -> None:
        """Take up what an earlier run left, if it came from this address and its version is known."""
        try:
            about = json.loads(self.about.read_text())
            if about["url"] != url or not about["version"] or not self.path.is_file():
                return
            with self.path.open("rb") as file:
                while block := file.read(_BLOCK):
                    self.digest.update(block)
                    self.size += len(block)
            self.version = about["version"]
        except (OSError, ValueError, KeyError, TypeError):
            self.size, self.digest = 0, hashlib.sha256()

    def restart(self, url: str, version: str | None) -> None:
        """Begin anew."""
        self.drop()
        self.version = version
        write_text(self.about, json.dumps({"url": url, "version": version}) + "\n")

    def drop(self) -> None:
        """Forget and remove everything that has arrived."""
        self.path.unlink(missing_ok=True)
        self.about.unlink(missing_ok=True)
        self.version, self.size, self.digest = None, 0, hashlib.sha256()

    @contextlib.contextmanager
    def open(self) -> Iterator[FileIO]:
        """Open it for :meth:`write`, at its end.

        Raises:
            CiaoError: It cannot be written.
        """
        with self._explained():
            file = FileIO(self.path, "ab")
        with file:
            yield file

    def write(self, file: FileIO, block: bytes) -> None:
        """Add a block.

        Raises:
            CiaoError: There is no space left, or it cannot be written.
        """
        left = memoryview(block)
        with self._explained():
            while left:
                written = file.write(left)
                self.digest.update(left[:written])
                self.size += written
                left = left[written:]

    def check_space(self, needed: int) -> None:
        """See whether so many further bytes fit on the disk.

        Raises:
            CiaoError: They do not.
        """
        free = shutil.disk_usage(self.path.parent).free
        if needed > free:
            raise CiaoError(
                f"no space left: {self.path.parent} has {_mb(free)} free but {_mb(needed)} are to come; "
                "free some space, or choose another folder with --to DIR"
            )

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            why = "no space left; free some, or choose another folder with --to DIR" if full else error.strerror
            raise CiaoError(
                f"cannot write {self.path}: {why} ({_mb(self.size)} have arrived and are kept; the same command goes "
                "on from there)"
            ) from error


def fetch(
    one: Entry,
    folder: Path,
    *,
    watch: Watch = nobody,
    say: Say = nobody,
    patience: Patience | None = None,
) -> Path:
    """Download weights, unless they are here already, and return the checked file.

    Args:
        one: What to fetch.
        folder: Where weights are kept.
        watch: Is told of the progress.
        say: Is told of waits and further attempts.
        patience: How long to try.

    Raises:
        CiaoError: It cannot be had, is a web page, has a wrong hash, or cannot be written.
    """
    path = store.file_of(one, folder)
    with _alone(path.parent, say):
        if store.is_here(one, folder):
            return path
        if one.url is None:
            raise CiaoError(f"{one.name} cannot be downloaded by a program: {store.how_to_get(one)}")
        part = Part(path)
        part.resume(one.url)
        _download(one.url, part, watch, say, patience or Patience())
        _accept(one, folder, part, one.url)
    return path


def take(one: Entry, folder: Path, given: Path, *, watch: Watch = nobody, say: Say = nobody) -> Path:
    """Copy weights that the user has, checked like a download, and return the checked file.

    Args:
        one: What it is.
        folder: Where weights are kept.
        given: The user's file, which stays as it is.
        watch: Is told of the progress.
        say: Is told of waits.

    Raises:
        CiaoError: It cannot be read, is a web page, has a wrong hash, or cannot be copied.
    """
    path = store.file_of(one, folder)
    with _alone(path.parent, say):
        part = Part(path)
        try:
            with given.open("rb") as source:
                total = os.fstat(source.fileno()).st_size
                part.restart(str(given), None)
                part.check_space(total)
                with part.open() as file:
                    while block := source.read(_BLOCK):
                        _refuse_page(block, part, str(given))
                        part.write(file, block)
                        watch(part.size, total)
        except OSError as error:
            part.drop()
            raise CiaoError(f"cannot read {given}: {error.strerror}") from error
        _accept(one, folder, part, str(given))
    return path


def _accept(one: Entry, folder: Path, part: Part, source: str) -> None:
    """Check what has arrived, write its hash down, and give it its name; or remove it."""
    try:
        sha256 = part.digest.hexdigest()
        expected = store.expected_sha256(one, folder)
        if expected is None:
            _check_unknown(one, part)
        elif sha256 != expected:
            record = store.record_of(one, folder)
            why = "" if one.sha256 else f" (as recorded in {record}; delete that to trust a new file)"
            raise CiaoError(f"{source} has sha256 {sha256} but {expected} was expected{why}: what arrived was removed")
    except CiaoError:
        part.drop()
        raise
    path = store.file_of(one, folder)
    store.write_record(one, folder, store.Record(sha256, source))
    try:
        with part.open() as file:
            os.fsync(file.fileno())
        part.path.replace(path)
    except OSError as error:
        raise CiaoError(f"cannot write {path}: {error.strerror}") from error
    part.drop()
    store.remember(one, folder)


def _check_unknown(one: Entry, part: Part) -> None:
    """Check all that can be checked of a file whose sha256 nobody knows yet: what is recorded now is enforced later.

    Raises:
        CiaoError: It is not what git says it should be, or cannot be loaded.
    """
    if one.git_blob and (blob := store.git_blob_of(part.path)) != one.git_blob:
        raise CiaoError(f"{one.name} has git blob {blob} but {one.git_blob} was expected: what arrived was removed")
    if one.format in ("safetensors", "state_dict"):
        store.read_state(one, part.path)
    elif part.size == 0:
        raise CiaoError(f"{one.name} is an empty file: what arrived was removed")


def _download(url: str, part: Part, watch: Watch, say: Say, patience: Patience) -> None:
    """Make attempts until everything has arrived, or several in a row brought nothing new."""
    most, failures = part.size, 0
    with requests.Session() as session:
        session.headers["User-Agent"] = "ciao_stream"
        while True:
            try:
                return _attempt(session, url, part, watch, patience)
            except requests.exceptions.SSLError as error:
                raise CiaoError(f"{url}: the server's certificate is not accepted; nothing was downloaded") from error
            except (requests.Timeout, requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
                reason, wait = _reason(error), 0.0
            except _AgainError as error:
                reason, wait = str(error), error.wait
            except requests.RequestException as error:
                raise CiaoError(f"{url} cannot be downloaded: {error}") from error
            failures = 0 if part.size > most else failures + 1
            most = max(most, part.size)
            if failures >= patience.tries:
                kept = f"; {_mb(part.size)} have arrived and are kept, the same command goes on" if part.size else ""
                raise CiaoError(f"{url}: {reason}, {failures} times in a row{kept}")
            pause = min(patience.longest, max(wait, patience.pause * 2 ** max(0, failures - 1)))
            say(f"{reason}; trying again in {pause:.0f} s")
            time.sleep(pause)


def _attempt(session: requests.Session, url: str, part: Part, watch: Watch, patience: Patience) -> None:
    """Ask for what is missing and write down what comes.

    Raises:
        _AgainError: A further attempt may succeed.
        requests.RequestException: The connection failed.
        CiaoError: It is of no use to try again.
    """
    headers = {"Accept-Encoding": "identity"}
    if part.size and part.version:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": part.version}
    else:
        part.drop()
    timeout = (patience.connect, patience.read)
    with session.get(url, headers=headers, stream=True, timeout=timeout) as response:
        if _complete(response, part):
            return
        total = _begin(response, url, part)
        if total is not None:
            part.check_space(total - part.size)
        watch(part.size, total)
        with part.open() as file:
            for block in response.iter_content(_NETWORK_BLOCK):
                if part.size == 0:
                    _refuse_page(block, part, url)
                part.write(file, block)
                watch(part.size, total)
    if total is not None and part.size != total:  # urllib3 before 2.0 takes a cut connection for the end
        raise _AgainError("the connection broke")


def _complete(response: requests.Response, part: Part) -> bool:
    """Tell whether the server says that nothing is missing."""
    if response.status_code != 416:
        return False
    if response.headers.get("Content-Range", "").strip() == f"bytes */{part.size}":
        return True
    part.drop()
    raise _AgainError("what had arrived is not of this file; beginning anew")


def _begin(response: requests.Response, url: str, part: Part) -> int | None:
    """Judge an answer, make the part ready for its body, and return the size of the whole file, if known."""
    status = response.status_code
    if status in _PASSING:
        wait = response.headers.get("Retry-After", "")
        raise _AgainError(f"the server answered {status} {response.reason}", float(wait) if wait.isdecimal() else 0.0)
    if status == 206:
        said = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", "").strip())
        if said is None or int(said[1]) != part.size or _version(response) not in (None, part.version):
            part.drop()
            raise _AgainError("the file on the server has changed; beginning anew")
        return int(said[2])
    if status != 200:
        raise CiaoError(f"{url}: the server answered {status} {response.reason}; nothing was downloaded")
    if response.headers.get("Content-Type", "").lower().startswith("text/html"):
        part.drop()
        raise CiaoError(_page(url))
    encoded = response.headers.get("Content-Encoding", "identity") != "identity"
    part.restart(url, None if encoded else _version(response))
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() and not encoded else None


def _version(response: requests.Response) -> str | None:
    """Return what names this version of the file: a strong ETag, else the date of the last change [0]."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified")


def _refuse_page(block: bytes, part: Part, source: str) -> None:
    if part.size == 0 and block.lstrip()[:15].lower().startswith((b"<!doctype", b"<html")):
        part.drop()
        raise CiaoError(_page(source))


def _page(source: str) -> str:
    return (
        f"{source}: this is a web page, not weights (a notice, a log-in or a quota page); open the address in a "
        "browser, and give the file that you get with --file PATH"
    )


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout) or "Read timed out" in str(error):
        return "the server did not answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError) or "Connection broken" in str(error):
        return "the connection broke"
    if "NameResolution" in str(error):
        return "the server's name cannot be resolved (is there a network?)"
    return "the server cannot be reached (is there a network?)"


@contextlib.contextmanager
def _alone(folder: Path, say: Say) -> Iterator[None]:
    """Wait until no other process works in this folder. The lock goes with the process, however that ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("ab")
    except OSError as error:
        raise CiaoError(f"cannot write in {folder}: {error.strerror}; choose another folder with --to DIR") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is fetching it; waiting")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
