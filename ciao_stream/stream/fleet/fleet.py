"""A learner for each of many streams, each an actor of Ray's; what dies is started again from its checkpoint.

Nothing here knows what was learned: a learner's folder does. It must lie where every machine of the cluster sees it,
which is tried before the learner begins. Of all processes that want to work in a folder its lock admits one.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.fleet.member import Ending, FleetLearner, Place
from ciao_stream.stream.learner.config import LearnerConfig
from ciao_stream.stream.learner.folder import LearnerFolder
from ciao_stream.stream.log.connection import RedisAddress, seconds_until_retry

RETRY_S = (0.5, 60.0)
"""Seconds until a learner that died is started again: the first time, and at most; doubled in between, with jitter."""

WELL_S = 120.0
"""Seconds after which a learner that dies has not died of what the one before it died of."""

ROOM_S = 30.0
"""Seconds after which it is told that a learner has perhaps found no room in the cluster."""

STOP_S = 20.0
"""Seconds that a learner has for a clean end."""

CALLS = 3
"""Calls that an actor takes at a time: to work, to say where it is, and to stop."""

MemberState = Literal["starting", "at work", "waiting", "ended", "failed"]
"""``waiting``: it died, and is started again soon."""


@dataclass(frozen=True)
class Share:
    """What Ray sets aside for a learner.

    Args:
        cpus: Cores, > 0; may be a fraction. It computes with as many threads, and at least one.
        gpus: GPUs, >= 0; may be a fraction.

    Raises:
        CiaoError: A number is out of range.
    """

    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.cpus < 10_000 or not 0 <= self.gpus < 10_000:
            raise CiaoError(f"expected cpus > 0 and gpus >= 0 for each learner but got {self.cpus} and {self.gpus}")

    @property
    def threads(self) -> int:
        """Threads that a learner computes with."""
        return max(1, int(self.cpus))


@dataclass(eq=False)
class Member:
    """What is known of one stream's learner.

    Args:
        stream: Name of the stream.
        folder: The learner's.
        state: What it is at.
        node: Name of the machine; empty where it has none yet.
        deaths: How often its process has died.
        actor: The actor, while there is one.
    """

    stream: str
    folder: LearnerFolder
    state: MemberState = "starting"
    node: str = ""
    deaths: int = 0
    actor: Any = None


class Fleet:
    """The learners; to be used while connected to Ray.

    Args:
        folders: A learner's folder for each stream, by its name.
        server: The Redis server, or the folder of a private one.
        config: What the learners are to be.
        share: What is set aside for each.
        tell: Told in one line what happens, from any thread.

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
        require_reachable(server)
        self.members = [Member(stream, folder) for stream, folder in folders.items()]
        self._server = server
        self._config = config
        self._share = share
        self._tell = tell
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads = {
            member.stream: threading.Thread(target=self._supervise, args=(member,), daemon=True)
            for member in self.members
        }

    def start(self) -> None:
        """Start the learners."""
        for thread in self._threads.values():
            thread.start()

    @property
    def ended(self) -> bool:
        """Whether all have ended for good."""
        return not any(thread.is_alive() for thread in self._threads.values())

    def stop(self) -> None:
        """Ask all to stop, and wait until they have; those that do not in time are killed, and lose nothing by it."""
        import ray

        with self._lock:
            self._stopping.set()
            for member in self.members:
                if member.actor is not None and member.state == "at work":
                    member.actor.stop.remote()
                elif member.actor is not None:
                    ray.kill(member.actor)
        end = time.monotonic() + STOP_S
        for thread in self._threads.values():
            thread.join(max(0.0, end - time.monotonic()))
        for member in self.members:
            if self._threads[member.stream].is_alive():
                self._tell(f"{member.stream}: no clean end within {STOP_S:.0f} s; it will go on from its checkpoint")
                with self._lock:
                    if member.actor is not None:
                        ray.kill(member.actor)
                self._threads[member.stream].join(STOP_S)

    def _supervise(self, member: Member) -> None:
        """Start a learner, again and again while it dies."""
        tries, told = 0, ""
        try:
            while not self._stopping.is_set():
                began = time.monotonic()
                ending, died_of = self._live(member)
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
                if ending is not None:  # of the one before, on a machine that was lost, the lock may still be there
                    if told != ending.text:
                        self._tell(f"{member.stream}: {ending.text}; it is tried again")
                    told = ending.text
                else:
                    told = ""
                    member.deaths += 1
                    self._tell(f"{member.stream}: {died_of}; it goes on from its checkpoint in {wait:.1f} s")
                self._stopping.wait(wait)
            member.state = "ended"
        except CiaoError as error:
            member.state = "failed"
            self._tell(f"{member.stream}: {error}")
        except BaseException as error:
            member.state = "failed"
            self._tell(f"{member.stream}: {type(error).__name__}: {error}")
            raise

    def _live(self, member: Member) -> tuple[Ending | None, str]:
        """Let a learner live in a process of its own; return how it ended, or else what it died of.

        Raises:
            CiaoError: It cannot live on that machine.
        """
        import ray

        actor = self._born(member)
        if actor is None:
            return None, "stopped"
        try:
            self._look_around(member, actor)
            with self._lock:
                if self._stopping.is_set():
                    return None, "stopped"
                member.state = "at work"
                ending = actor.run.remote()
            return ray.get(ending), ""
        except ray.exceptions.RayTaskError as error:
            return None, f"it failed ({type(error.cause).__name__}: {_one_line(str(error.cause))})"
        except ray.exceptions.RayError as error:
            if getattr(error, "actor_init_failed", False):
                raise CiaoError(f"no learner can live there: {_one_line(str(error))}") from error
            where = f"on {member.node} " if member.node else ""
            return None, f"its process {where}is gone ({type(error).__name__})"
        except OSError as error:
            problem = f"cannot use {member.folder.path} for a learner: {error.strerror}"
            if not member.deaths:
                raise CiaoError(f"{problem}; choose another folder") from error
            return None, problem
        finally:
            with self._lock:
                member.actor = None
            ray.kill(actor)

    def _born(self, member: Member) -> Any:
        """Return a new actor; None where no more are wanted."""
        import ray

        share = self._share
        kind = ray.remote(FleetLearner).options(
            num_cpus=share.cpus, num_gpus=share.gpus, max_concurrency=CALLS, scheduling_strategy="SPREAD"
        )
        with self._lock:
            if self._stopping.is_set():
                return None
            member.state, member.node = "starting", ""
            member.actor = kind.remote(member.stream, member.folder.path, self._server, self._config, share.threads)
            return member.actor

    def _look_around(self, member: Member, actor: Any) -> None:
        """Learn where an actor is, and see to it that it works in the same folder as everybody else.

        Raises:
            CiaoError: It does not see the folder.
            OSError: The folder cannot be made, or not written.
        """
        import ray

        path = member.folder.path
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=".fleet-", dir=path) as seen:
            answer = actor.place.remote(Path(seen.name).name)
            if not ray.wait([answer], timeout=ROOM_S)[0]:
                self._tell_if_there_is_no_room(member)
            place: Place = ray.get(answer)
        member.node = place.node
        if not place.sees:
            raise CiaoError(
                f"{place.node} does not see {path} as this machine does: give --worlds a folder on a file system that "
                "all machines of the cluster share"
            )

    def _tell_if_there_is_no_room(self, member: Member) -> None:
        import ray

        free = ray.available_resources()
        wanted = {"CPU": self._share.cpus, "GPU": self._share.gpus}
        short = [
            f"{n:g} {name}, and {free.get(name, 0):g} are free" for name, n in wanted.items() if n > free.get(name, 0)
        ]
        if short:
            self._tell(
                f"{member.stream}: no process yet; it wants {'; '.join(short)}: if this lasts, add machines, or set "
                "less aside for each learner (--cpus, --gpus)"
            )


def require_reachable(server: RedisAddress | Path) -> None:
    """Refuse a server that machines of the cluster cannot reach.

    Raises:
        CiaoError: It is a socket of this machine, and there are others.
    """
    import ray

    here = isinstance(server, Path) or server.scheme == "unix"
    machines = _machines(ray.nodes())
    if here and machines > 1:
        raise CiaoError(
            f"{server} is on this machine alone, and the cluster has {machines}: give --redis an address that all reach"
        )


def _machines(nodes: Iterable[Mapping[str, Any]]) -> int:
    return len({node["NodeManagerHostname"] for node in nodes if node["Alive"]})


def _one_line(text: str) -> str:
    """Return the last line that says anything, not too long."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
