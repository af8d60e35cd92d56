"""Caches results about many files, such as digests and annotations, in the user's cache folder.

An index is a few named arrays. Its key must contain everything that it depends on: see :func:`stamp`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ciao_stream.exceptions import CiaoError, reading
from ciao_stream.runtime.atomic import write_bytes
from ciao_stream.runtime.folders import user_cache

Index = Mapping[str, npt.NDArray[Any]]


_CHUNK = 1 << 20


def cached_index(key: str, build: Callable[[], Index]) -> Index:
    """Return the index of a key from the cache, or build it and try to cache it.

    Args:
        key: Text with everything that the index depends on.
        build: Makes the arrays, without dtype ``object``.
    """
    cache = user_cache()
    path = cache / "indexes" / f"{hashlib.sha256(key.encode()).hexdigest()[:40]}.npz" if cache else None
    if path is not None and path.exists():
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as kept:
                return {name: kept[name] for name in kept.files}
        except (OSError, EOFError, ValueError, zipfile.BadZipFile):
            pass  # a damaged index is built again
    index = build()
    if path is not None:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **index)  # type: ignore[arg-type]
        with contextlib.suppress(OSError, CiaoError):  # without a writable cache, it is only slower
            write_bytes(path, buffer.getvalue())
    return index


def stamp(folder: Path, names: Iterable[str]) -> str:
    """Return a digest of the names, sizes and modification times of files.

    Raises:
        DataError: A file is missing.
    """
    digest = hashlib.sha256()
    for name in names:
        path = folder / name
        with reading(path):
            status = path.stat()
        digest.update(f"{name}/{status.st_size}/{status.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def contents_sha256(folder: Path, names: Sequence[str]) -> str:
    """Return the SHA-256 over the names and contents of files, in order, from the cache if no file has changed.

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
    with reading(path), path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
