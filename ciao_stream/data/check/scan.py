"""Decode every picture once, in all processor cores, and keep the little that comparing them takes.

About 300 bytes stay of a picture. Images are decoded in worker processes, in chunks, and never leave them.
"""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.synchronize import Event

import numpy as np
import numpy.typing as npt

from ciao_stream.data.check.places import Pictures
from ciao_stream.exceptions import CiaoError, DataError
from ciao_stream.faces.dataset import Image, ImageSource

THUMBNAIL = 16
"""Height and width of the gray thumbnail that is kept of a picture."""

FLAT = 3.0
"""Standard deviation of the thumbnail's gray values below which a picture shows nothing: its hash is noise."""

CHUNK = 128
"""Pictures that a worker decodes before it reports."""

LOOK = np.dtype(
    [
        ("readable", "?"),
        ("digest", "u8"),
        ("hash", "u8"),
        ("thumbnail", "u1", THUMBNAIL * THUMBNAIL),
        ("flat", "?"),
        ("width", "i4"),
        ("height", "i4"),
        ("colour", "?"),
    ]
)
"""What is kept of a picture: a digest of its gray pixels, its 64-bit pHash, a gray thumbnail, its size in pixels."""

Looks = npt.NDArray[np.void]
"""Array (N,) of :data:`LOOK`."""

Chunk = tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Index of a source, the rows to read, and the pictures that they are."""


def look_at(image: Image) -> Looks:
    """Return what is kept of one image, an array () of :data:`LOOK`.

    An RGB image of gray values has the digest of the gray image.
    """
    import imagehash
    from PIL import Image as Pillow

    picture = Pillow.fromarray(image)
    gray = picture.convert("L")
    small = np.asarray(gray.resize((THUMBNAIL, THUMBNAIL), Pillow.Resampling.BOX))
    look = np.zeros((), dtype=LOOK)
    digest = hashlib.blake2b(np.asarray(gray).tobytes(), digest_size=8, person=f"{gray.width}x{gray.height}".encode())
    look["readable"] = True
    look["digest"] = int.from_bytes(digest.digest(), "big")
    look["hash"] = int.from_bytes(np.packbits(imagehash.phash(gray).hash).tobytes(), "big")
    look["thumbnail"] = small.ravel()
    look["flat"] = small.std() < FLAT
    look["width"], look["height"] = gray.size
    if image.ndim == 3:
        shades = np.asarray(picture.resize((THUMBNAIL, THUMBNAIL), Pillow.Resampling.BOX))
        look["colour"] = np.ptp(shades, axis=2).mean() > 2
    return look


def scan(pictures: Pictures, progress: Callable[[int], None]) -> tuple[Looks, dict[int, str]]:
    """Decode every picture.

    Args:
        pictures: What to decode.
        progress: Told how many more were decoded.

    Returns:
        Array (N,) of :data:`LOOK`, and what is wrong with each unreadable picture, in one line.

    Raises:
        CiaoError: A worker process died.
    """
    looks = np.zeros(len(pictures), dtype=LOOK)
    problems: dict[int, str] = {}
    chunks = list(_chunks(pictures))
    workers = max(min(_cores(), len(chunks)), 1)
    with _pool(workers, pictures.sources) as pool:
        running: dict[Future[tuple[Looks, dict[int, str]]], Chunk] = {}
        for chunk in [*chunks, None]:
            while running and (chunk is None or len(running) >= 2 * workers):
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    if isinstance(future.exception(), BrokenProcessPool):
                        raise _died(pictures, list(running.values())[:workers])
                    _, _, ids = running.pop(future)
                    looks[ids], bad = future.result()
                    problems |= {int(ids[position]): problem for position, problem in bad.items()}
                    progress(len(ids))
            if chunk is not None:
                with _interrupts_held():
                    running[pool.submit(_look_at_rows, *chunk[:2])] = chunk
    return looks, dict(sorted(problems.items()))


def _chunks(pictures: Pictures) -> Iterator[Chunk]:
    """Yield the pictures of each source in the order of its rows: a clip's frames follow each other."""
    places = pictures.places()
    order = np.lexsort((places[:, 1], places[:, 0]))
    starts = np.searchsorted(places[order, 0], np.arange(len(pictures.sources) + 1))
    for number, (start, stop) in enumerate(itertools.pairwise(starts)):
        for first in range(start, stop, CHUNK):
            ids = order[first : min(first + CHUNK, stop)]
            yield number, places[ids, 1], ids


def _died(pictures: Pictures, suspects: list[Chunk]) -> CiaoError:
    """Return the error for a dead worker; the first chunks that are not done are those that were worked on."""
    between = " or ".join(
        f"from {pictures.name(int(ids[0]))} to {pictures.name(int(ids[-1]))}" for _, _, ids in suspects
    )
    return CiaoError(f"a process that decoded images died, for want of memory or on one of the images {between}")


@contextmanager
def _pool(workers: int, sources: list[ImageSource]) -> Iterator[ProcessPoolExecutor]:
    """Start workers; an error that ends the block ends them after the image that each is at."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(workers, context, _start, (sources, stop))
    try:
        yield pool
    except BaseException:
        stop.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back while workers may be started: they inherit that, and so leave it to this process."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Worker:
    """What a worker process knows."""

    sources: list[ImageSource]
    stop: Event


def _start(sources: list[ImageSource], stop: Event) -> None:
    """Begin a worker process, which ends when the process that started it is gone."""
    import cv2

    cv2.setNumThreads(1)
    _Worker.sources, _Worker.stop = sources, stop
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _look_at_rows(number: int, rows: npt.NDArray[np.int64]) -> tuple[Looks, dict[int, str]]:
    """Look at some rows of a source, in a worker: a look each, and what is wrong by position among the rows."""
    looks = np.zeros(len(rows), dtype=LOOK)
    problems = {}
    for position, row in enumerate(rows.tolist()):
        if _Worker.stop.is_set():
            break
        try:
            looks[position] = look_at(_Worker.sources[number].read(row))
        except DataError as error:
            problems[position] = " ".join(str(error).split())
    return looks, problems
