"""What many files hold, as one digest: every file is read once per change of any, and the digest is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ciao_stream.exceptions import DataError
from ciao_stream.faces.readers.index_cache import cached_index, stamp

_CHUNK = 1 << 20


def contents_sha256(folder: Path, names: Sequence[str]) -> str:
    """Return the SHA-256 over the names and contents of files, in order; see
    :mod:`ciao_stream.faces.readers.index_cache`.

    Args:
        folder: Where they are.
        names: The files, relative to ``folder``, with ``/`` between their parts.

    Raises:
        DataError: A file cannot be read.
    """
    key = f"content of {folder.resolve()} {stamp(folder, names)}"
    return str(cached_index(key, lambda: {"sha256": np.array(_sha256_of_all(folder, names))})["sha256"])


def _sha256_of_all(folder: Path, names: Sequence[str]) -> str:
    digest = hashlib.sha256()
    with ThreadPoolExecutor() as pool:
        contents = pool.map(lambda name: _sha256(folder / name), names)
        for name, content in zip(names, contents, strict=True):
            digest.update(f"{content} {name}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    return digest.hexdigest()
