"""Where a learner lives: one folder with its checkpoints, its status and its worlds, for one process at a time.

========================  =====================================================================================
in the folder             content
========================  =====================================================================================
``checkpoints/``          :mod:`ciao_stream.stream.learner.checkpoint`: the only authority on what was learned
``worlds/NAME/``          each world as :meth:`ciao_stream.worlds.world.World.save` writes it
``status.json``           :mod:`ciao_stream.stream.learner.status`
``starts.json``           :mod:`ciao_stream.stream.learner.start_guard`; there while a learner runs, or was killed
``undone.json``           :mod:`ciao_stream.stream.learner.undone`
``lock``                  held by the process that runs, by the kernel: it is let go of however that one ends
========================  =====================================================================================
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from ciao_stream.exceptions import CiaoError

_LOCK = "lock"


class LearnerAtWorkError(CiaoError):
    """A learner works in the folder."""


class LearnerFolder:
    """The paths in a learner's folder.

    Args:
        path: The folder; made when it is claimed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.worlds = path / "worlds"
        self.status = path / "status.json"
        self.starts = path / "starts.json"
        self.undone = path / "undone.json"

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Be the only one who changes the folder, in the block.

        Raises:
            LearnerAtWorkError: Another process is.
            CiaoError: The folder cannot be made, or not be locked.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / _LOCK).open("a+")
        except OSError as error:
            raise CiaoError(f"cannot use {self.path} for a learner: {error.strerror}; choose another folder") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LearnerAtWorkError(
                    f"a learner works in {self.path} (process {self.owner()}): stop it first"
                ) from None
            except OSError as error:
                raise CiaoError(
                    f"cannot lock {self.path}: {error.strerror}; choose a folder on a disk where files can be locked"
                ) from error
            with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
                lock.truncate(0)
                lock.write(str(os.getpid()))
                lock.flush()
            for folder in (self.path, self.checkpoints):
                for left in folder.glob(".*.tmp"):  # of a process that was killed as it wrote
                    left.unlink(missing_ok=True)
            yield

    def owner(self) -> int | None:
        """Return the process that works in the folder; None where none does."""
        with contextlib.suppress(FileNotFoundError), (self.path / _LOCK).open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read() or 0)
        return None
