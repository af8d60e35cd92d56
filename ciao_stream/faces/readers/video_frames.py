"""Frames of video clips as an image source: a clip is decoded once for all its frames, when one of them is read.

The length in a clip's header is not trusted: frames are counted while they are decoded.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ciao_stream.exceptions import CiaoError, DataError, reading
from ciao_stream.faces.dataset import Image
from ciao_stream.faces.readers.index_cache import contents_sha256

SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv")
"""File name endings of video clips, in lower case."""

_OPENING = threading.Lock()
_FFMPEG_LEVEL = "OPENCV_FFMPEG_LOGLEVEL"


@dataclass(frozen=True)
class VideoFrames:
    """Evenly spaced frames of clips, an :class:`~ciao_stream.faces.dataset.ImageSource`; picklable.

    Image i is frame ``i % per_clip`` of those taken from clip ``i // per_clip``: see :func:`moments`. The frames of the
    last clip stay in memory, so reading in order decodes each clip once.

    Args:
        folder: Folder of the clips.
        names: File of each clip, relative to ``folder``, with ``/`` between its parts.
        per_clip: Frames taken from each clip, at least 1.

    Raises:
        CiaoError: ``per_clip`` is below 1.
    """

    folder: Path
    names: tuple[str, ...]
    per_clip: int
    _last: tuple[int, list[Image]] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.per_clip < 1:
            raise CiaoError(f"expected at least 1 frame per clip but got {self.per_clip}")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": None}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the frames per clip and of the names and contents of all clips in order."""
        content = contents_sha256(self.folder, self.names)
        return hashlib.sha256(f"frames/1/{self.per_clip}/{content}".encode()).hexdigest()

    def __len__(self) -> int:
        """Return the number of images: clips times frames per clip."""
        return len(self.names) * self.per_clip

    def name(self, index: int) -> str:
        """Return the file of a clip, and the number of the frame, from 1."""
        clip, frame = divmod(index, self.per_clip)
        return f"{self.folder / self.names[clip]}, frame {frame + 1} of {self.per_clip}"

    def read(self, index: int) -> Image:
        """Return one frame: uint8 (height, width, 3) in RGB order, rotated as the clip's metadata says.

        Raises:
            DataError: The clip is missing, or no frame of it can be decoded.
        """
        clip, frame = divmod(index, self.per_clip)
        last = self._last
        if last is None or last[0] != clip:
            last = clip, read_clip(self.folder / self.names[clip], self.per_clip)
            object.__setattr__(self, "_last", last)
        return last[1][frame].copy()


def moments(per_clip: int, count: int) -> list[int]:
    """Return the numbers of the frames to take: the middle ones of ``per_clip`` parts of equal length.

    Args:
        per_clip: How many to take.
        count: Number of frames in the clip; if there are fewer than ``per_clip``, some are taken twice or more.

    >>> moments(4, 12), moments(3, 2)
    ([1, 4, 7, 10], [0, 1, 1])
    """
    return [(2 * part + 1) * count // (2 * per_clip) for part in range(per_clip)]


def read_clip(path: Path, per_clip: int) -> list[Image]:
    """Decode a clip and return ``per_clip`` of its frames; if the length in its header is wrong, decode it again.

    Args:
        path: The file, in any format that OpenCV's FFmpeg reads.
        per_clip: How many frames to take: see :func:`moments`.

    Returns:
        uint8 (height, width, 3) each, in RGB order, in order of time.

    Raises:
        DataError: The file is missing, empty, or not a video that can be decoded.
    """
    import cv2

    with reading(path), path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
    what = "an empty file" if size == 0 else f"not a video that can be decoded ({size:,} bytes)"
    problem = DataError(f"{path}: {what}; get the file again")
    try:
        frames, count, expected = _decode(path, per_clip, None)
        if count != expected:
            frames, count, _ = _decode(path, per_clip, count)
    except cv2.error as error:
        raise problem from error
    wanted = moments(per_clip, count)
    if not frames.keys() >= set(wanted):
        raise problem
    return [frames[moment] for moment in wanted]


def _decode(path: Path, per_clip: int, expected: int | None) -> tuple[dict[int, Image], int, int]:
    """Decode a clip from end to end.

    Args:
        path: The clip.
        per_clip: How many frames to keep.
        expected: Number of frames in the clip; None for the number in its header.

    Returns:
        The frames to take from a clip of the expected length, by number; the actual number of frames; the expected
        number.
    """
    import cv2

    frames: dict[int, Image] = {}
    count = 0
    capture = _open_quietly(path)
    try:
        if expected is None:
            expected = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        wanted = set(moments(per_clip, expected))
        while capture.grab():
            if count in wanted:
                decoded, frame = capture.retrieve()
                if decoded:
                    frames[count] = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            count += 1
    finally:
        capture.release()
    return frames, count, expected


def _open_quietly(path: Path) -> Any:
    """Return a ``cv2.VideoCapture`` of a clip that writes nothing to stderr, even for a damaged clip."""
    import cv2

    with quiet_opencv():
        return cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)


@contextlib.contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keep OpenCV and FFmpeg from writing to stderr about files that are opened in this block.

    OpenCV's log is off inside the block. FFmpeg's log level is read only from the environment, when a process opens its
    first clip (in older versions of OpenCV: each clip). A user's setting of this variable is kept; otherwise it is set
    inside the block only.
    """
    import cv2

    logging = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging
    with _OPENING:
        ours = not os.environ.keys() & {_FFMPEG_LEVEL, "OPENCV_FFMPEG_DEBUG"}
        level = logging.getLogLevel()
        logging.setLogLevel(0)
        if ours:
            os.environ[_FFMPEG_LEVEL] = "-8"
        try:
            yield
        finally:
            logging.setLogLevel(level)
            if ours:
                del os.environ[_FFMPEG_LEVEL]
