"""Download third-party weights, or copy a file that the user has: checked, and whole or absent."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

import pooch
import requests

from ciao_stream.encoders.weights import store
from ciao_stream.encoders.weights.manifest import Entry
from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.progress import SILENT, Progress

TIMEOUT = (10.0, 60.0)
"""Seconds to wait for a connection, and for the next bytes."""

PAUSES = (1.0, 4.0)
"""Seconds before each further attempt after a failure that may pass."""

PASSING = (408, 425, 429, 500, 502, 503, 504)
"""HTTP status codes after which the same request may succeed."""

STALE = 24 * 3600
"""Seconds after which a temporary file was left by a process that was killed."""

_log = logging.getLogger(__name__)
pooch.get_logger().setLevel("WARNING")


def fetch(one: Entry, folder: Path, given: Path | None = None, progress: Progress = SILENT) -> Path:
    """Download weights, unless the right file is there already, and return the checked file.

    If the manifest has no sha256 of the file, that of the first copy is recorded and required from then on.

    Args:
        one: The weights.
        folder: Where weights are kept.
        given: The user's own copy, used instead of a download. It stays as it is.
        progress: Shows the megabytes.

    Raises:
        CiaoError: The file cannot be downloaded, read or written, its hash is wrong, or it has no known hash and
            cannot be read as weights.
    """
    path, known = store.file_of(one, folder), store.known_sha256(one, folder)
    if given is None and one.url is None:
        raise CiaoError(f"{one.name} cannot be downloaded by a program: {store.how_to_get(one)}")
    wanted = known if given is None else _checked(one, folder, given, known)

    def bring(source: str, target: str, _: object) -> None:
        if given is None:
            _download(source, Path(target), one.name, progress)
        else:
            shutil.copyfile(given, target)
        Path(target).chmod(0o644)  # pooch lets only the owner read it

    try:
        for old in path.parent.glob("tmp*"):
            if time.time() - old.stat().st_mtime > STALE:
                old.unlink()
        pooch.retrieve(str(one.url), wanted and f"sha256:{wanted}", path.name, path.parent, downloader=bring)
    except CiaoError:
        raise
    except OSError as error:
        raise CiaoError(
            f"cannot write in {path.parent}: {error.strerror}; free some space or choose another folder with --to DIR"
        ) from error
    except ValueError as error:
        raise _wrong(one, folder, str(one.url), str(error).partition(". ")[0]) from error
    if known is None:
        try:
            store.check_unknown(one, path)
        except CiaoError:
            path.unlink()
            raise
        store.record(one, folder, store.sha256_of(path))
    return path


def _checked(one: Entry, folder: Path, given: Path, known: str | None) -> str:
    """Return the sha256 of the user's own copy, if that is the right file."""
    try:
        sha256 = store.sha256_of(given)
        if known is None:
            store.check_unknown(one, given)
    except OSError as error:
        raise CiaoError(f"cannot read {given}: {error.strerror}") from error
    if known not in (None, sha256):
        raise _wrong(one, folder, str(given), f"expected sha256 {known} but got {sha256}")
    return sha256


def _wrong(one: Entry, folder: Path, source: str, reason: str) -> CiaoError:
    record = store.record_of(one, folder)
    hint = "" if one.sha256 else f" (recorded at the first fetch; delete {record} to accept another file)"
    return CiaoError(f"{source} is not the expected file and was not kept: {reason}{hint}")


def _download(url: str, path: Path, name: str, progress: Progress) -> None:
    """Write the body of a URL to a file, with further attempts after failures that may pass."""
    for pause in (*PAUSES, None):
        try:
            with requests.get(url, stream=True, timeout=TIMEOUT, headers={"Accept-Encoding": "identity"}) as response:
                response.raise_for_status()
                size = int(response.headers.get("Content-Length", 0)) / 1e6
                with path.open("wb") as file, progress.bar(f"{name} (MB)", size or None) as bar:
                    for block in response.iter_content(2**16):
                        file.write(block)
                        bar.advance(len(block) / 1e6)
            return
        except requests.RequestException as error:
            reason, passing = _reason(error)
            if pause is None or not passing:
                raise CiaoError(f"{url}: {reason}; nothing was downloaded") from error
            _log.warning("%s; trying again in %.0f s", reason, pause)
            time.sleep(pause)


def _reason(error: requests.RequestException) -> tuple[str, bool]:
    """Return the reason of a failure, and whether a further attempt may succeed."""
    if error.response is not None:
        status = error.response.status_code
        return f"the server answered {status} {error.response.reason}", status in PASSING
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not accepted", False
    if isinstance(error, requests.Timeout) or "Read timed out" in str(error):
        return "the server did not answer in time", True
    if isinstance(error, requests.exceptions.ChunkedEncodingError) or "Connection broken" in str(error):
        return "the connection broke", True
    if isinstance(error, requests.ConnectionError):
        return "the server cannot be reached (is there a network?)", True
    return str(error), False
