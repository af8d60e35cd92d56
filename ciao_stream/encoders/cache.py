"""Encode once: prepared pixels and encoder features of every image, kept on disk and read by memory map.

An entry is one ``.npy`` file whose name is a hash of everything that it depends on: the images, the preprocessing
and the encoder. It is written in batches beside its final place and then renamed, so that it is whole or absent,
and neither writing nor reading needs memory that grows with the number of images.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ciao_stream.encoders.base import Encoder, Level
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import ImageSource
from ciao_stream.runtime.atomic import open_for_replace
from ciao_stream.runtime.precision import fast_dtype

CACHE_FORMAT = 1
"""Part of every key: raise it when the bytes of an entry would come out differently."""

ENCODE_BATCH = 64
"""Images per forward pass of the encoder."""

DEFAULT_BUDGET = 64 * 2**30
"""Bytes that all entries together may take on disk."""

ABANDONED_AFTER_S = 3600
"""Seconds without a write after which a temporary file counts as left behind by a killed process."""

BELOW: dict[Level, Level] = {"z": "pixels", "u": "z"}
"""From what each level is computed."""

Progress = Callable[[int], None]
"""Called with the number of images just done."""


def no_progress(_: int) -> None:
    """Report to nobody."""


class FeatureCache:
    """Pixels and features on disk, keyed by fingerprints.

    Args:
        folder: Made where it is missing.
        budget: Bytes for all entries; the least recently used ones make way for a new one.
    """

    def __init__(self, folder: Path, budget: int = DEFAULT_BUDGET) -> None:
        self.folder = folder
        self.budget = budget

    def get(
        self, images: ImageSource, encoder: Encoder, level: Level, progress: Progress = no_progress
    ) -> npt.NDArray[Any]:
        """Return what ``level`` names for every image of a source, encoding it where it is not in the cache.

        Args:
            images: The source.
            encoder: The frozen encoder.
            level: ``pixels``: uint8 (N, channels, size, size). ``z``, ``u``: float16 (N, F, h, w).
            progress: Told of every batch that is worked on, also of those of the levels below.

        Returns:
            A read-only memory map.

        Raises:
            DataError: An image is unreadable; nothing is left behind.
            CiaoError: The disk is full, or the entry alone exceeds the budget.
        """
        path = self._path(images, encoder, level)
        if not path.exists():
            self._write(path, len(images), self._batches(images, encoder, level, progress), progress)
        with contextlib.suppress(OSError):  # a cache that is only read has no use for the time
            os.utime(path)
        return np.load(path, mmap_mode="r", allow_pickle=False)

    def work(self, images: ImageSource, encoder: Encoder, level: Level) -> int:
        """Return how many images ``progress`` will be told of: each image once per level that is missing."""
        if self._path(images, encoder, level).exists():
            return 0
        return len(images) + (self.work(images, encoder, BELOW[level]) if level in BELOW else 0)

    def _path(self, images: ImageSource, encoder: Encoder, level: Level) -> Path:
        parts = [CACHE_FORMAT, images.fingerprint, len(images), asdict(encoder.preprocessing), level]
        if level != "pixels":
            parts += [encoder.fingerprint(), encoder.device.type, str(fast_dtype(encoder.device.type))]
        return self.folder / f"{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]}.npy"

    def _batches(
        self, images: ImageSource, encoder: Encoder, level: Level, progress: Progress
    ) -> Iterator[npt.NDArray[Any]]:
        if level == "pixels":
            for start in range(0, len(images), ENCODE_BATCH):
                stop = min(start + ENCODE_BATCH, len(images))
                yield np.stack([encoder.preprocessing.fit(images.read(i)) for i in range(start, stop)])
            return
        below = self.get(images, encoder, BELOW[level], progress)
        layer = encoder.stored_z if level == "z" else encoder.stored_u
        for start in range(0, len(below), ENCODE_BATCH):
            yield layer(torch.from_numpy(np.array(below[start : start + ENCODE_BATCH]))).cpu().numpy()

    def _write(self, path: Path, n: int, batches: Iterator[npt.NDArray[Any]], progress: Progress) -> None:
        first = next(batches)
        shape = (n, *first.shape[1:])
        self._make_room(first[0].nbytes * n)
        with open_for_replace(path) as file:
            described = np.lib.format.dtype_to_descr(first.dtype)
            np.lib.format.write_array_header_1_0(file, {"descr": described, "fortran_order": False, "shape": shape})
            for batch in itertools.chain([first], batches):
                file.write(np.ascontiguousarray(batch).data)
                progress(len(batch))

    def _make_room(self, size: int) -> None:
        if size > self.budget:
            raise CiaoError(
                f"the features of one data set take {size / 2**30:.1f} GiB, more than the whole budget of the cache, "
                f"{self.budget / 2**30:.1f} GiB: raise it with --cache-budget"
            )
        for _, _, leftover in _by_age(self.folder.glob(".*.tmp"), older_than=time.time() - ABANDONED_AFTER_S):
            leftover.unlink(missing_ok=True)
        total = size
        for _, entry_size, entry in _by_age(self.folder.glob("*.npy")):
            total += entry_size
            if total > self.budget:
                entry.unlink(missing_ok=True)


def _by_age(paths: Iterable[Path], older_than: float = math.inf) -> list[tuple[float, int, Path]]:
    """Return (time, bytes, path) of each file, the newest first; another process may delete some meanwhile."""
    found = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    return sorted((f for f in found if f[0] < older_than), reverse=True)
