"""Write files that are complete or absent, even after a full disk, an exception, kill -9 or power loss.

The content is written to a temporary file in the same folder, flushed to disk, and renamed in one step; until then a
reader sees the old file. A killed process may leave its temporary file, ``.NAME.*.tmp``, which nothing reads and which
is safe to delete.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ciao_stream.exceptions import CiaoError

_ADVICE = {
    errno.ENOSPC: "the disk is full: free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up: free some space or choose another folder",
    errno.EFBIG: "the file would be larger than this process may write: raise the limit (ulimit -f)",
    errno.EACCES: "permission denied: choose a folder that you may write to",
    errno.EPERM: "permission denied: choose a folder that you may write to",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.ENOENT: "the folder does not exist and cannot be created: choose another folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder: choose another path",
    errno.EEXIST: "a part of the path is a file, not a folder: choose another path",
    errno.EIO: "the disk reports an input/output error: check it, or choose another folder",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
}


@contextlib.contextmanager
def open_for_replace(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a binary file that replaces ``path`` when the block ends without an error.

    Missing folders are created. A link is followed: its target is replaced. On any error, KeyboardInterrupt included,
    the temporary file is removed and the old file stays unchanged.

    Args:
        path: The file to write.

    Yields:
        The open temporary file, writable and seekable.

    Raises:
        CiaoError: The file cannot be written (full disk, no permission, not a regular file); the message names it.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        if target.exists() and not target.is_file():
            raise CiaoError(f"cannot write {path}: it is not a regular file; choose another path")
        target.parent.mkdir(parents=True, exist_ok=True)
        file = temporary.open("xb")
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            file.close()
            temporary.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                file.close()  # flushes again, which fails on a full disk, but closes the file
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)
    except OSError as error:
        ours = {None, str(temporary), *map(str, [target, *target.parents])}
        advice = _ADVICE.get(error.errno or 0)
        if advice is None or error.filename not in ours:  # the error belongs to something else in the block
            raise
        raise CiaoError(f"cannot write {path}: {advice}") from error


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to ``path``, completely or not at all.

    Raises:
        CiaoError: As :func:`open_for_replace`.
    """
    with open_for_replace(path) as file:
        file.write(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` to ``path`` as UTF-8 with unchanged line ends, completely or not at all.

    Raises:
        CiaoError: As :func:`open_for_replace`.
    """
    write_bytes(path, text.encode("utf-8"))


def _sync_folder(folder: Path) -> None:
    """Flush the folder's new entry to disk, where the file system supports it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
