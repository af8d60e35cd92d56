"""Feature cache: preprocessed pixels and encoder features of every image, on disk and read by memory map.

An entry is one ``.npy`` file whose name is a hash of everything that it depends on: the images, the preprocessing and
the encoder. It is written in batches to a temporary file and then renamed, so that it is whole or absent, and the
memory for writing and reading does not grow with the number of images.
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
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import torch

from ciao_stream.encoders.base import Encoder, Level
from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.faces.dataset import ImageSource
from ciao_stream.runtime.atomic import open_for_replace
from ciao_stream.runtime.device import fast_dtype
from ciao_stream.runtime.expect import expect

CACHE_FORMAT = 1
"""Part of every key: increase it when the content of an entry changes."""

ENCODE_BATCH = 64
"""Images per forward pass of the encoder."""

DEFAULT_BUDGET = 64 * 2**30
"""Most bytes of all entries together on disk."""

ABANDONED_AFTER_S = 3600
"""Seconds without a write after which a temporary file must come from a process that was killed."""

BELOW: dict[Level, Level] = {"z": "pixels", "u": "z"}
"""The level from which each level is computed."""

Advance = Callable[[int], object]
"""Called with the number of images that were just encoded, such as the ``advance`` of a progress bar."""


def do_nothing(_: int) -> None:
    """Do nothing (default callback)."""


class FeatureCache:
    """Pixels and features on disk, keyed by fingerprints.

    Args:
        folder: Created if it is missing.
        budget: Most bytes of all entries; the least recently used ones are evicted for a new one.
    """

    def __init__(self, folder: Path | str, budget: int = DEFAULT_BUDGET) -> None:
        expect("folder", folder, str, Path)
        expect("budget", budget, int)
        if budget < 1:
            raise CiaoError(f"budget: expected a number of bytes >= 1 but got {budget}")
        self.folder = Path(folder)
        self.budget = budget

    def get(
        self, images: ImageSource, encoder: Encoder, level: Level, advance: Advance = do_nothing
    ) -> npt.NDArray[Any]:
        """Return all images of a source at one level; encode them first if they are not in the cache.

        Args:
            images: The source.
            encoder: The frozen encoder.
            level: ``pixels``: uint8 (N, channels, size, size). ``z``, ``u``: float16 (N, F, h, w).
            advance: Called after every batch, also for the levels below.

        Returns:
            A read-only memory map.

        Raises:
            DataError: An image is unreadable; no file is left.
            UnknownNameError: The level does not exist.
            CiaoError: The disk is full, or the entry alone exceeds the budget.
        """
        path = self._path(images, encoder, level)
        if not path.exists():
            self._write(path, len(images), self._batches(images, encoder, level, advance), advance)
        with contextlib.suppress(OSError):  # in a read-only cache nothing is evicted
            os.utime(path)
        return np.load(path, mmap_mode="r", allow_pickle=False)

    def work(self, images: ImageSource, encoder: Encoder, level: Level) -> int:
        """Return the sum of all ``advance`` calls of :meth:`get`: each image once per level that is missing."""
        if self._path(images, encoder, level).exists():
            return 0
        return len(images) + (self.work(images, encoder, BELOW[level]) if level in BELOW else 0)

    def _path(self, images: ImageSource, encoder: Encoder, level: Level) -> Path:
        if level not in get_args(Level):
            raise UnknownNameError("level", level, get_args(Level))
        parts = [CACHE_FORMAT, images.fingerprint, len(images), asdict(encoder.preprocessing), level]
        if level != "pixels":
            parts += [encoder.fingerprint(), encoder.device.type, str(fast_dtype(encoder.device.type))]
        return self.folder / f"{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]}.npy"

    def _batches(
        self, images: ImageSource, encoder: Encoder, level: Level, advance: Advance
    ) -> Iterator[npt.NDArray[Any]]:
        if level == "pixels":
            for start in range(0, len(images), ENCODE_BATCH):
                stop = min(start + ENCODE_BATCH, len(images))
                yield np.stack([encoder.preprocessing.fit(images.read(i)) for i in range(start, stop)])
            return
        below = self.get(images, encoder, BELOW[level], advance)
        layer = encoder.stored_z if level == "z" else encoder.stored_u
        for start in range(0, len(below), ENCODE_BATCH):
            yield layer(torch.from_numpy(np.array(below[start : start + ENCODE_BATCH]))).cpu().numpy()

    def _write(self, path: Path, n: int, batches: Iterator[npt.NDArray[Any]], advance: Advance) -> None:
        first = next(batches)
        shape = (n, *first.shape[1:])
        self._make_room(first[0].nbytes * n)
        with open_for_replace(path) as file:
            described = np.lib.format.dtype_to_descr(first.dtype)
            np.lib.format.write_array_header_1_0(file, {"descr": described, "fortran_order": False, "shape": shape})
            for batch in itertools.chain([first], batches):
                file.write(np.ascontiguousarray(batch).data)
                advance(len(batch))

    def _make_room(self, size: int) -> None:
        if size > self.budget:
            raise CiaoError(
                f"the features of one data set need {size / 2**30:.1f} GiB, but the budget of the cache is "
                f"{self.budget / 2**30:.1f} GiB: increase it with --cache-budget"
            )
        for _, _, leftover in _by_age(self.folder.glob(".*.tmp"), older_than=time.time() - ABANDONED_AFTER_S):
            leftover.unlink(missing_ok=True)
        total = size
        for _, entry_size, entry in _by_age(self.folder.glob("*.npy")):
            total += entry_size
            if total > self.budget:
                entry.unlink(missing_ok=True)


def _by_age(paths: Iterable[Path], older_than: float = math.inf) -> list[tuple[float, int, Path]]:
    """Return (time, bytes, path) of each file, newest first; files that another process deletes are skipped."""
    found = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    return sorted((f for f in found if f[0] < older_than), reverse=True)
