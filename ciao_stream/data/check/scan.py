"""Decodes every image once, on all processor cores, and keeps what comparing them needs.

About 300 bytes are kept of an image. Images are decoded in worker processes, in chunks, and never leave them.
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

from ciao_stream.data.check.places import UniqueImages
from ciao_stream.exceptions import CiaoError, DataError
from ciao_stream.faces.dataset import Image, ImageSource

THUMBNAIL = 16
"""Height and width of the gray thumbnail that is kept of an image."""

FLAT = 3.0
"""Standard deviation of the thumbnail's gray values below which an image shows nothing: its hash is noise."""

CHUNK = 128
"""UniqueImages that a worker decodes before it reports."""

SUMMARY = np.dtype(
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
"""What is kept of an image: a digest of its gray pixels, its 64-bit pHash, a gray thumbnail, its size in pixels."""

Summaries = npt.NDArray[np.void]
"""Array (N,) of :data:`SUMMARY`."""

Chunk = tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Index of a source, the rows to read, and the numbers of their images."""


def summarise(image: Image) -> Summaries:
    """Summarise one image: return an array of shape () and type :data:`SUMMARY`.

    An RGB image whose channels are equal has the digest of the gray image.
    """
    import imagehash
    from PIL import Image as Pillow

    shown = Pillow.fromarray(image)
    gray = shown.convert("L")
    small = np.asarray(gray.resize((THUMBNAIL, THUMBNAIL), Pillow.Resampling.BOX))
    summary = np.zeros((), dtype=SUMMARY)
    digest = hashlib.blake2b(np.asarray(gray).tobytes(), digest_size=8, person=f"{gray.width}x{gray.height}".encode())
    summary["readable"] = True
    summary["digest"] = int.from_bytes(digest.digest(), "big")
    summary["hash"] = int.from_bytes(np.packbits(imagehash.phash(gray).hash).tobytes(), "big")
    summary["thumbnail"] = small.ravel()
    summary["flat"] = small.std() < FLAT
    summary["width"], summary["height"] = gray.size
    if image.ndim == 3:
        shades = np.asarray(shown.resize((THUMBNAIL, THUMBNAIL), Pillow.Resampling.BOX))
        summary["colour"] = np.ptp(shades, axis=2).mean() > 2
    return summary


def scan(images: UniqueImages, progress: Callable[[int], None]) -> tuple[Summaries, dict[int, str]]:
    """Decode every image.

    Args:
        images: What to decode.
        progress: Called with the number of images just decoded.

    Returns:
        Array (N,) of :data:`SUMMARY`, and one line for each unreadable image, by its number.

    Raises:
        CiaoError: A worker process died.
    """
    summaries = np.zeros(len(images), dtype=SUMMARY)
    problems: dict[int, str] = {}
    chunks = list(_chunks(images))
    workers = max(min(_cores(), len(chunks)), 1)
    with _pool(workers, images.sources) as pool:
        running: dict[Future[tuple[Summaries, dict[int, str]]], Chunk] = {}
        for chunk in [*chunks, None]:
            while running and (chunk is None or len(running) >= 2 * workers):
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    if isinstance(future.exception(), BrokenProcessPool):
                        raise _died(images, list(running.values())[:workers])
                    _, _, ids = running.pop(future)
                    summaries[ids], bad = future.result()
                    problems |= {int(ids[position]): problem for position, problem in bad.items()}
                    progress(len(ids))
            if chunk is not None:
                with _interrupts_held():
                    running[pool.submit(_summarise_rows, *chunk[:2])] = chunk
    return summaries, dict(sorted(problems.items()))


def _chunks(images: UniqueImages) -> Iterator[Chunk]:
    """Yield the images of each source in the order of its rows: a clip's frames follow each other."""
    places = images.origins()
    order = np.lexsort((places[:, 1], places[:, 0]))
    starts = np.searchsorted(places[order, 0], np.arange(len(images.sources) + 1))
    for number, (start, stop) in enumerate(itertools.pairwise(starts)):
        for first in range(start, stop, CHUNK):
            ids = order[first : min(first + CHUNK, stop)]
            yield number, places[ids, 1], ids


def _died(images: UniqueImages, suspects: list[Chunk]) -> CiaoError:
    """Return the error for a dead worker; the first chunks that are not done are the ones it may have been decoding."""
    between = " or ".join(f"from {images.name(int(ids[0]))} to {images.name(int(ids[-1]))}" for _, _, ids in suspects)
    return CiaoError(
        f"a process that decodes images died: out of memory, or one of these images crashes the decoder: {between}"
    )


@contextmanager
def _pool(workers: int, sources: list[ImageSource]) -> Iterator[ProcessPoolExecutor]:
    """Start workers; if the block ends with an error, each stops after its current image."""
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
    """Block SIGINT while workers may start: they inherit the mask, so only this process handles Ctrl-C."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Worker:
    """State of a worker process."""

    sources: list[ImageSource]
    stop: Event


def _start(sources: list[ImageSource], stop: Event) -> None:
    """Initialise a worker process; it ends when its parent process ends."""
    import cv2

    cv2.setNumThreads(1)
    _Worker.sources, _Worker.stop = sources, stop
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _summarise_rows(number: int, rows: npt.NDArray[np.int64]) -> tuple[Summaries, dict[int, str]]:
    """Summarise some rows of a source, in a worker; return the summaries, and errors by position among the rows."""
    summaries = np.zeros(len(rows), dtype=SUMMARY)
    problems = {}
    for position, row in enumerate(rows.tolist()):
        if _Worker.stop.is_set():
            break
        try:
            summaries[position] = summarise(_Worker.sources[number].read(row))
        except DataError as error:
            problems[position] = " ".join(str(error).split())
    return summaries, problems
