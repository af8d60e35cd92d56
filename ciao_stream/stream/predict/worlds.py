"""The worlds of a predictor, read from a learner's checkpoints or a folder of worlds, and kept up to date.

Nothing is ever written there. A newer version is read in the background, and takes over between two batches.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ciao_stream.encoders.base import Encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.learner.checkpoint import Checkpoints
from ciao_stream.worlds.world import World
from ciao_stream.worlds.worlds import Worlds

LOOK_S = 1.0
"""Seconds between checks for a newer version."""

READ_SHARE = 0.25
"""Largest share of the time that is spent reading newer versions."""


@dataclass(frozen=True, eq=False)
class Served:
    """One version of the worlds.

    Args:
        worlds: The worlds.
        versions: By world: number of the checkpoint, or the start of the world's sha256.
        learns: By task, the world that learns from its labels.
        position: The learner's position in the stream; None without a learner.
        problems: One line for each newer version that is damaged.
    """

    worlds: Worlds
    versions: Mapping[str, int | str]
    learns: Mapping[str, str]
    position: str | None = None
    problems: tuple[str, ...] = ()


class WorldSource(Protocol):
    """A place that worlds are read from."""

    def mark(self) -> Hashable | None:
        """Return a value that differs between versions, without opening a file; None where there are no worlds."""
        ...

    def read(self) -> Served:
        """Read the newest undamaged version.

        Raises:
            CiaoError: There is none, or it needs another encoder.
        """
        ...


class CheckpointWorlds:
    """The worlds of a learner, from its newest undamaged checkpoint.

    Args:
        folder: Folder of the checkpoints.
        encoder: The learner's encoder.
    """

    def __init__(self, folder: Path, encoder: Encoder) -> None:
        self.folder = folder
        self.encoder = encoder

    def mark(self) -> Hashable | None:
        """Return the newest checkpoint's name and time: an undo may reuse names."""
        for kept in reversed(Checkpoints(self.folder).kept()):
            if (written := _written(kept.path)) is not None:
                return kept.path.name, written
        return None

    def read(self) -> Served:
        """See :class:`WorldSource`."""
        restored = Checkpoints(self.folder).load(self.encoder)
        if restored is None:
            raise CiaoError(f"no checkpoint in {self.folder}: run `learn`, or give a learner's folder with --worlds")
        learner, worlds = restored.learner, Worlds(self.encoder)
        for online in learner.worlds.values():
            worlds.put(online.world)
        versions = dict.fromkeys(worlds, restored.kept.number)
        learns = {task: learner.of(task).spec.name for task in learner.tasks}
        return Served(worlds, versions, learns, learner.position, restored.incidents)


class ExportedWorlds:
    """Worlds that :meth:`ciao_stream.worlds.worlds.Worlds.save` wrote, as ``learn`` does at its end.

    Args:
        folder: Holds one folder per world.
        encoder: The encoder of the worlds.
    """

    def __init__(self, folder: Path, encoder: Encoder) -> None:
        self.folder = folder
        self.encoder = encoder

    def mark(self) -> Hashable | None:
        """Return the times of all ``world.json``; each is the last file of its world to be written."""
        times = [(path.parent.name, _written(path)) for path in self._descriptions()]
        return tuple(times) or None

    def read(self) -> Served:
        """See :class:`WorldSource`."""
        worlds = Worlds(self.encoder)
        for path in self._descriptions():
            worlds.put(World.load(path.parent, self.encoder))
        if not worlds:
            raise CiaoError(f"no world in {self.folder}: expected one folder per world, each with a world.json")
        versions = {name: world.sha256()[:12] for name, world in worlds.items()}
        return Served(worlds, versions, {name: name for name in versions})

    def _descriptions(self) -> list[Path]:
        return sorted(self.folder.glob("*/world.json"))


class UpToDate:
    """The newest version of the worlds, without ever waiting for it.

    Args:
        source: Where the worlds are read from.
        look_s: Seconds between checks.
    """

    def __init__(self, source: WorldSource, look_s: float = LOOK_S) -> None:
        self.current: Served | None = None
        self.problem = ""
        self._source = source
        self._look_s = look_s
        self._mark: Hashable | None = None
        self._next_look = 0.0
        self._began = 0.0
        self._pool = ThreadPoolExecutor(1, "ciao-worlds")
        self._reading: Future[Served] | None = None

    @property
    def reading(self) -> bool:
        """Whether a version is being read."""
        return self._reading is not None

    def refresh(self) -> bool:
        """Take over a version that has been read, and check for a newer one when it is time.

        Returns:
            Whether :attr:`current` has changed. A newer version that cannot be read leaves it unchanged, and
            :attr:`problem` gives the reason.

        Raises:
            CiaoError: The first version cannot be read.
        """
        if self._reading is not None:
            return self._reading.done() and self._take_over(self._reading)
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + self._look_s
            mark = self._source.mark()
            if mark is not None and mark != self._mark:
                self._mark, self._began = mark, now
                self._reading = self._pool.submit(self._source.read)
        return False

    def close(self) -> None:
        """Wait until nothing is being read."""
        self._pool.shutdown(cancel_futures=True)

    def _take_over(self, reading: Future[Served]) -> bool:
        self._reading = None
        now = time.monotonic()
        self._next_look = max(self._next_look, now + (now - self._began) * (1 / READ_SHARE - 1))
        try:
            served = reading.result()
        except (CiaoError, OSError) as error:
            if self.current is None:
                raise
            self.problem = str(error)
            return False
        self.current, self.problem = served, "; ".join(served.problems)
        return True


def _written(path: Path) -> tuple[int, int] | None:
    """Return a value that changes whenever a file is rewritten; None where it is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
