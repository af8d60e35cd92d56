"""A fleet: one learner for each of many streams, each a Ray actor.

Ray restarts an actor whose process or machine died; here each restart is announced and delayed, so that a learner that
keeps dying does not occupy the cluster. Nothing here knows what was learned: that is in a learner's folder, which every
machine of the cluster must see. Before a learner begins, it must find a file there that the fleet wrote. The folder's
lock admits one learner at a time.
"""

from __future__ import annotations

import contextlib
import faulthandler
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.options import option, validate
from ciao_stream.runtime.stopping import Stop
from ciao_stream.stream.learner.config import LearnerConfig
from ciao_stream.stream.learner.folder import LearnerAtWorkError, LearnerFolder
from ciao_stream.stream.log.connection import RedisAddress, seconds_until_retry
from ciao_stream.stream.log.keys import StreamNames
from ciao_stream.stream.log.server import SharedServer

RETRY_S = (0.5, 60.0)
"""Seconds before a learner that died works again: initial and maximum; doubled in between, with jitter."""

WELL_S = 120.0
"""Seconds of work after which the delay starts from its initial value again."""

ROOM_S = 30.0
"""Seconds without a process after which a lack of room in the cluster is reported."""

STOP_S = 20.0
"""Seconds that a learner has for a clean end."""

CALLS = 3
"""Calls that an actor handles at the same time: run, place and stop."""

MemberState = Literal["starting", "at work", "waiting", "ended", "failed"]
"""``waiting``: it died and will work again soon."""


@dataclass(frozen=True)
class Share:
    """What Ray reserves for each learner.

    Args:
        cpus: Cores; may be a fraction. The learner computes with as many threads, but at least one.
        gpus: GPUs; may be a fraction.

    Raises:
        CiaoError: A value is out of range.
    """

    cpus: float = option(1.0, above=0, below=10_000)
    gpus: float = option(0.0, least=0, below=10_000)

    def __post_init__(self) -> None:
        validate(self)

    @property
    def threads(self) -> int:
        """Threads that a learner computes with."""
        return max(1, int(self.cpus))


@dataclass(frozen=True)
class Ending:
    """Why a learner ended although its process lives.

    Args:
        text: One line.
        failed: Whether the user has to act.
        taken: Whether another learner works in the folder.
    """

    text: str
    failed: bool = False
    taken: bool = False


class FleetLearner:
    """The learner of the ``learn`` command, as a Ray actor.

    Args:
        stream: Name of the stream.
        folder: The learner's folder.
        server: The Redis server, or the folder of a private one.
        config: Configuration of the learner.
        threads: That it computes with; another number sums in another order.
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

    def place(self, name: str) -> tuple[str, bool]:
        """Return the name of the machine, and whether it sees the file ``name`` in the folder."""
        return socket.gethostname(), (self._folder.path / name).exists()

    def run(self) -> Ending:
        """Follow the stream until there is a reason to stop, then export the worlds."""
        faulthandler.disable()  # Ray's handler would prevent the start guard's trace
        try:
            with self._folder.claimed(), self._addresses() as address:
                return self._follow(address)
        except LearnerAtWorkError as error:
            return Ending(str(error), failed=True, taken=True)
        except CiaoError as error:
            return Ending(str(error), failed=True)

    def stop(self) -> None:
        """Make :meth:`run` end soon."""
        self._stop.request()

    def _follow(self, address: Callable[[], RedisAddress]) -> Ending:
        import torch

        from ciao_stream.stream.learner.status import StatusWriter
        from ciao_stream.stream.log.log import FrameLog

        torch.set_num_threads(self._threads)
        write = StatusWriter(self._folder.status, str(address()))
        follower = self._config.follower(
            self._folder, lambda: FrameLog(address(), self._names), stop=self._stop, watch=write
        )
        try:
            follower.run()
        finally:
            problems = follower.learner.save_worlds(self._folder.worlds)
        return Ending("; ".join([follower.summary(), *problems]))

    @contextlib.contextmanager
    def _addresses(self) -> Iterator[Callable[[], RedisAddress]]:
        """Yield a function that returns the server's address."""
        if isinstance(self._server, RedisAddress):
            address = self._server
            yield lambda: address
            return
        with SharedServer(self._server) as shared:
            shared()
            yield shared


@dataclass(eq=False)
class Member:
    """One stream's learner, seen from the fleet.

    Args:
        stream: Name of the stream.
        folder: The learner's.
        state: What it does.
        node: Name of its machine; empty until it has a process.
        deaths: How often it died.
        actor: Handle of the Ray actor, once started.
    """

    stream: str
    folder: LearnerFolder
    state: MemberState = "starting"
    node: str = ""
    deaths: int = 0
    actor: Any = None


class Fleet:
    """The learners; use it while connected to Ray.

    Args:
        folders: A learner's folder for each stream, by its name.
        server: The Redis server, or the folder of a private one.
        config: Configuration of the learners.
        share: What Ray reserves for each.
        tell: Called with one line about each event, from any thread.

    Raises:
        CiaoError: Machines of the cluster cannot reach the server.
    """

    def __init__(
        self,
        folders: Mapping[str, LearnerFolder],
        server: RedisAddress | Path,
        config: LearnerConfig,
        share: Share,
        tell: Callable[[str], None],
    ) -> None:
        _require_reachable(server)
        self.members = [Member(stream, folder) for stream, folder in folders.items()]
        self._server = server
        self._config = config
        self._share = share
        self._tell = tell
        self._stopping = threading.Event()
        self._threads: dict[str, threading.Thread] = {}

    def start(self) -> None:
        """Start the learners."""
        import ray

        kind = ray.remote(FleetLearner).options(
            num_cpus=self._share.cpus,
            num_gpus=self._share.gpus,
            max_restarts=-1,
            max_task_retries=-1,
            max_concurrency=CALLS,
            scheduling_strategy="SPREAD",
        )
        for member in self.members:
            folder = member.folder.path
            member.actor = kind.remote(member.stream, folder, self._server, self._config, self._share.threads)
            thread = threading.Thread(target=self._supervise, args=(member,), daemon=True)
            self._threads[member.stream] = thread
            thread.start()

    @property
    def ended(self) -> bool:
        """Whether all learners have ended for good."""
        return not any(thread.is_alive() for thread in self._threads.values())

    def stop(self) -> None:
        """Stop all learners and wait for them; those that take too long are killed, which loses nothing."""
        import ray

        self._stopping.set()
        for member in self.members:
            if member.state == "at work":
                member.actor.stop.remote()
            elif member.actor is not None:
                ray.kill(member.actor)
        end = time.monotonic() + STOP_S
        for thread in self._threads.values():
            thread.join(max(0.0, end - time.monotonic()))
        for member in self.members:
            if member.stream in self._threads and self._threads[member.stream].is_alive():
                self._tell(
                    f"{member.stream}: killed after {STOP_S:.0f} s without a clean end; its checkpoint is intact"
                )
                ray.kill(member.actor)
                self._threads[member.stream].join(STOP_S)

    def _supervise(self, member: Member) -> None:
        """Let a learner work, again after each death, until it ends for good."""
        import ray

        try:
            self._work_until_ended(member)
        except CiaoError as error:
            member.state = "failed"
            self._tell(f"{member.stream}: {error}")
        except BaseException as error:
            member.state = "failed"
            self._tell(f"{member.stream}: {type(error).__name__}: {error}")
            raise
        finally:
            ray.kill(member.actor)

    def _work_until_ended(self, member: Member) -> None:
        tries, taken = 0, ""
        while not self._stopping.is_set():
            began = time.monotonic()
            ending, died_of = self._work(member)
            if ending is not None and not (ending.taken and member.deaths):
                member.state = "failed" if ending.failed else "ended"
                self._tell(f"{member.stream}: {ending.text}")
                return
            if self._stopping.is_set():
                break
            tries = 0 if time.monotonic() - began > WELL_S else tries
            wait = seconds_until_retry(RETRY_S, tries)
            tries += 1
            member.state = "waiting"
            if ending is None:
                member.deaths += 1
                self._tell(f"{member.stream}: {died_of}; it resumes from its checkpoint in {wait:.1f} s")
            elif ending.text != taken:  # a lost machine may still hold the lock
                self._tell(f"{member.stream}: {ending.text}; retrying")
            taken = "" if ending is None else ending.text
            self._stopping.wait(wait)
        member.state = "ended"

    def _work(self, member: Member) -> tuple[Ending | None, str]:
        """Wait for the actor's process and let the learner work; return how it ended, or why it died."""
        import ray

        member.state, member.node = "starting", ""
        try:
            self._check_place(member)
            member.state = "at work"
            # Ray would call it again at once, without a delay and perhaps on a machine that does not see the folder
            ending: Ending = ray.get(member.actor.run.options(max_task_retries=0).remote())
            return ending, ""
        except ray.exceptions.RayTaskError as error:
            problem = f"it failed ({type(error.cause).__name__}: {_last_line(str(error.cause))})"
        except ray.exceptions.RayError as error:
            if getattr(error, "actor_init_failed", False):
                raise CiaoError(f"a learner cannot start there: {_last_line(str(error))}") from error
            where = f"on {member.node} " if member.node else ""
            problem = f"its process {where}is gone ({type(error).__name__})"
            if isinstance(error, ray.exceptions.ActorDiedError):
                return None, problem
        except OSError as error:
            problem = f"cannot use {member.folder.path} for a learner: {error.strerror}"
            if not member.deaths:
                raise CiaoError(f"{problem}; choose another folder") from error
            return None, problem
        ray.kill(member.actor, no_restart=False)  # it may live, perhaps in a bad state: let Ray make a fresh process
        return None, problem

    def _check_place(self, member: Member) -> None:
        """Wait for the actor's process, and check that it sees the learner's folder."""
        import ray

        path = member.folder.path
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=".fleet-", dir=path) as file:
            answer = member.actor.place.remote(Path(file.name).name)
            if not ray.wait([answer], timeout=ROOM_S)[0]:
                self._tell_if_there_is_no_room(member)
            member.node, sees = ray.get(answer)
        if not sees:
            raise CiaoError(
                f"{member.node} does not see {path} as this machine does: give --worlds a folder on a file system that "
                "all machines of the cluster share"
            )

    def _tell_if_there_is_no_room(self, member: Member) -> None:
        import ray

        free = ray.available_resources()
        wanted = {"CPU": self._share.cpus, "GPU": self._share.gpus}
        short = [name for name, n in wanted.items() if n > free.get(name, 0)]
        if short:
            needs = "; ".join(f"it needs {wanted[name]:g} {name} and {free.get(name, 0):g} are free" for name in short)
            self._tell(
                f"{member.stream}: no process yet: {needs}. If this lasts, add machines or reserve less for each "
                "learner (--cpus, --gpus)"
            )


def _require_reachable(server: RedisAddress | Path) -> None:
    """Refuse a socket of this machine if the cluster has others."""
    import ray

    machines = len({node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]})
    if machines > 1 and (isinstance(server, Path) or server.scheme == "unix"):
        raise CiaoError(
            f"{server} is reachable from this machine only, but the cluster has {machines} machines: give --redis an "
            "address that all of them reach"
        )


def _last_line(text: str) -> str:
    """Return the last line that is not empty, cut to 300 characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"
