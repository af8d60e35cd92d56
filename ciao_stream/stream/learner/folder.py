"""The folder of a learner: its checkpoints, its status and its worlds; used by one process at a time.

========================  =====================================================================================
path                      content
========================  =====================================================================================
``checkpoints/``          see :mod:`ciao_stream.stream.learner.checkpoint`: the only authority on what was learned
``worlds/NAME/``          each world as :meth:`ciao_stream.worlds.world.World.save` writes it
``status.json``           see :mod:`ciao_stream.stream.learner.status`
``starts.json``           see :mod:`ciao_stream.stream.learner.start_guard`; exists while a learner runs or was killed
``undone.json``           see :class:`ciao_stream.stream.learner.undo.Undone`
``lock``                  locked by the learner's process; the kernel releases it however the process ends
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
    """Another process uses the folder."""


class LearnerFolder:
    """The paths in a learner's folder.

    Args:
        path: The folder; created when it is claimed.
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
        """Lock the folder for this process in the block.

        Raises:
            LearnerAtWorkError: Another process uses it.
            CiaoError: The folder cannot be created or locked.
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
                    f"cannot lock {self.path}: {error.strerror}; choose a folder on a disk that supports file locks"
                ) from error
            with contextlib.suppress(OSError):  # on a full disk; the lock holds anyway
                lock.truncate(0)
                lock.write(str(os.getpid()))
                lock.flush()
            for folder in (self.path, self.checkpoints):
                for left in folder.glob(".*.tmp"):  # of a process that was killed while writing
                    left.unlink(missing_ok=True)
            yield

    def owner(self) -> int | None:
        """Return the id of the process that uses the folder, or None."""
        with contextlib.suppress(FileNotFoundError), (self.path / _LOCK).open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read() or 0)
        return None
