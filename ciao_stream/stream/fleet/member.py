"""One learner of a fleet, as it lives in a process of Ray's: the learner of ``learn``, asked from afar."""

from __future__ import annotations

import contextlib
import faulthandler
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.stopping import Stop
from ciao_stream.stream.learner.config import LearnerConfig
from ciao_stream.stream.learner.folder import LearnerAtWorkError, LearnerFolder
from ciao_stream.stream.log.connection import RedisAddress
from ciao_stream.stream.log.keys import StreamNames
from ciao_stream.stream.log.server import SharedServer

if TYPE_CHECKING:
    from ciao_stream.stream.learner.follow import Follower


@dataclass(frozen=True)
class Place:
    """Where a learner runs, and what it was shown.

    Args:
        node: Name of the machine.
        sees: Whether it sees the file that it was to look for.
    """

    node: str
    sees: bool


@dataclass(frozen=True)
class Ending:
    """How a learner came to an end of its own.

    Args:
        text: One line.
        failed: Whether it ended for a reason that the user has to look into.
        taken: Whether it did not begin, because another learner works in the folder.
    """

    text: str
    failed: bool = False
    taken: bool = False


class FleetLearner:
    """A learner; made into an actor by :class:`~ciao_stream.stream.fleet.fleet.Fleet`.

    Args:
        stream: Name of the stream.
        folder: The learner's folder.
        server: The Redis server, or the folder of a private one.
        config: What the learner is to be.
        threads: It computes with; another number sums in another order.
    """

    def __init__(
        self, stream: str, folder: Path, server: RedisAddress | Path, config: LearnerConfig, threads: int
    ) -> None:
        self._names = StreamNames(stream)
        self._folder = LearnerFolder(folder)
        self._server = server
        self._config = config
        self._threads = threads
        self._stop = Stop()

    def place(self, name: str) -> Place:
        """Say where this is, and whether a file of this name is in the folder."""
        return Place(socket.gethostname(), (self._folder.path / name).exists())

    def run(self) -> Ending:
        """Follow the stream until there is a reason to stop; then write the worlds for others to load."""
        faulthandler.disable()  # Ray's would keep the guard of the starts from leaving its own trace
        try:
            with self._folder.claimed(), self._addresses() as address:
                return self._follow(address)
        except LearnerAtWorkError as error:
            return Ending(str(error), failed=True, taken=True)
        except CiaoError as error:
            return Ending(str(error), failed=True)

    def stop(self) -> None:
        """Ask it to stop; :meth:`run` returns soon after."""
        self._stop.request()

    def _follow(self, address: Callable[[], RedisAddress]) -> Ending:
        import torch

        from ciao_stream.stream.learner.status import StatusWriter
        from ciao_stream.stream.log.log import FrameLog

        torch.set_num_threads(self._threads)
        write = StatusWriter(self._folder.status, str(address()))

        def watch(follower: Follower) -> None:
            write(follower)

        follower = self._config.follower(
            self._folder, lambda: FrameLog(address(), self._names), stop=self._stop, watch=watch
        )
        try:
            follower.run()
        finally:
            problems = follower.learner.save_worlds(self._folder.worlds)
        return Ending("; ".join([follower.summary(), *problems]))

    @contextlib.contextmanager
    def _addresses(self) -> Iterator[Callable[[], RedisAddress]]:
        """Yield what returns the server's address."""
        if isinstance(self._server, RedisAddress):
            address = self._server
            yield lambda: address
            return
        with SharedServer(self._server) as shared:
            shared()
            yield shared
