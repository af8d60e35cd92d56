"""``fleet``: one learner for each of many streams, on Ray."""

from __future__ import annotations

import argparse
import math
import os
import signal
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.command import TABLE_WIDTH
from ciao_stream.runtime.options import names
from ciao_stream.stream.commands._options import config_of, learner_config_options, server_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ciao_stream.runtime.stopping import Stop
    from ciao_stream.stream.fleet import Fleet, Member
    from ciao_stream.stream.learner.folder import LearnerFolder

SUMMARY = "run one learner for each of several streams, on this machine or a Ray cluster"
MANY_STREAMS = True

LOOK_S = 1.0
"""Seconds between updates."""

SOON_S = 0.1
"""Seconds within which a request to stop is noticed."""

FIGURES = ("accuracy", "macro_f1", "ccc")
"""Metrics to show: the first of these that a world has."""

OBJECTS_MIB = 100
"""Memory of Ray's object store, which is hardly used."""


def add_options(p: argparse.ArgumentParser) -> None:
    """Add the options."""
    p.add_argument(
        "--worlds",
        type=Path,
        metavar="DIR",
        help="Folder of the learners' folders, one per stream, visible to all machines (default: worlds in --data)",
    )
    p.add_argument(
        "--ray",
        nargs="?",
        const="",
        default="",
        metavar="ADDRESS",
        help="HOST:PORT of a Ray cluster, on one of its machines (default: the cores of this machine)",
    )
    p.add_argument("--cpus", type=float, default=1.0, metavar="X", help="Cores reserved for each learner (default: 1)")
    p.add_argument(
        "--gpus", type=float, metavar="X", help="GPUs reserved for each learner (default: 1 with --device cuda, else 0)"
    )
    learner_config_options(p)


def run(options: argparse.Namespace) -> None:
    """Learn until SIGTERM, Ctrl-C, or as the options say; a learner that dies resumes from its checkpoint."""
    if options.ray and options.redis is None:
        raise CiaoError(
            f"--ray {options.ray}: only this machine can reach a private server: give the address of a server that all "
            "machines of the cluster can reach with --redis"
        )
    folders, config = _folders(options), config_of(options)

    from rich.console import Console

    from ciao_stream.runtime.ray_cluster import ray_cluster
    from ciao_stream.runtime.stopping import Stop
    from ciao_stream.stream.fleet import Fleet, Share
    from ciao_stream.stream.log.connection import RedisAddress
    from ciao_stream.stream.log.server import default_data

    options.resumes = True
    gpus = float(options.device == "cuda") if options.gpus is None else options.gpus
    share = Share(options.cpus, gpus)
    cores = max(os.cpu_count() or 1, math.ceil(len(folders) * share.cpus) + 1)
    console, stop = Console(stderr=True, highlight=False), Stop()
    if not console.is_terminal:
        console = Console(stderr=True, highlight=False, width=TABLE_WIDTH)

    def tell(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    with (
        stop.on_signals(),
        server_of(options) as address,
        ray_cluster(options.ray, num_cpus=cores, object_store_memory=OBJECTS_MIB << 20),
        stop.on_signals(),  # Ray has taken SIGTERM for itself
    ):
        server = address() if options.redis else (options.data or default_data()).absolute()
        if isinstance(server, RedisAddress) and options.ray and server.host == "localhost":
            tell("localhost must lead to the same Redis on every machine of the cluster")
        fleet = Fleet(folders, server, config, share, tell)
        board = _Board(fleet, tell)
        try:
            fleet.start()
            board.watch(console, stop)
        finally:
            fleet.stop()
        board.look()
        if not console.is_terminal:
            console.print(board.table())
    failed = [member.stream for member in fleet.members if member.state == "failed"]
    if failed:
        raise CiaoError(f"{len(failed)} of {len(fleet.members)} learners failed: {', '.join(failed)}; see above")
    if stop.by_signal == signal.SIGINT:
        raise KeyboardInterrupt


def _folders(options: argparse.Namespace) -> dict[str, LearnerFolder]:
    """Return the learner's folder of each stream by name; by default that of `learn --stream NAME`."""
    from ciao_stream.stream.learner.folder import LearnerFolder
    from ciao_stream.stream.log.keys import StreamNames
    from ciao_stream.stream.log.server import default_data

    streams = [StreamNames(name).stream for name in names(options.streams)]
    if not streams or len({*streams}) < len(streams):
        raise CiaoError(f"--streams {options.streams}: expected names, each once: NAME,NAME")
    base = options.worlds or (options.data or default_data()) / "worlds"
    return {stream: LearnerFolder(base.absolute() / stream) for stream in streams}


class _Board:
    """The status of all learners: as a table, with a line for each new incident."""

    def __init__(self, fleet: Fleet, tell: Callable[[str], None]) -> None:
        self._fleet = fleet
        self._tell = tell
        self._before = {member.stream: _status(member).get("updated_at") for member in fleet.members}
        self._now: dict[str, dict[str, Any]] = {member.stream: {} for member in fleet.members}
        self._incidents = dict.fromkeys(self._now, time.time())
        self._troubles = dict.fromkeys(self._now, "")

    def watch(self, console: Console, stop: Stop) -> None:
        """Show the table until all learners have ended, or until asked to stop."""
        from rich.live import Live

        live = Live(self.table(), console=console, auto_refresh=False) if console.is_terminal else None
        with live or nullcontext():
            while not self._fleet.ended and not stop.requested:
                self.look()
                if live is not None:
                    live.update(self.table(), refresh=True)
                end = time.monotonic() + LOOK_S
                while time.monotonic() < end and not self._fleet.ended and not stop.requested:
                    time.sleep(SOON_S)

    def look(self) -> None:
        """Read the status of each learner, and report new incidents."""
        for member in self._fleet.members:
            document = _status(member)
            if not document or document["updated_at"] == self._before[member.stream]:
                continue  # from an earlier run
            self._now[member.stream] = document
            for incident in document["incidents"]:
                if incident["at"] > self._incidents[member.stream]:
                    self._tell(f"{member.stream}: incident: {incident['text']}")
                    self._incidents[member.stream] = incident["at"]
            if document["trouble"] != self._troubles[member.stream]:
                self._troubles[member.stream] = document["trouble"]
                if document["state"] == "paused":
                    self._tell(f"{member.stream}: paused: {document['trouble']}")

    def table(self) -> Table:
        """Return the table."""
        from rich.table import Table

        shown = Table("stream", "state", "backlog", "frames", "per second", "rolling", "refused", "deaths", "machine")
        for member in self._fleet.members:
            document = self._now[member.stream]
            figures = ["", "", "", "", ""]
            if document:
                lag = "unknown" if document["lag"] is None else f"{document['lag']:,}"
                refused = sum(document["dead_letters"].values())
                figures = [
                    lag,
                    f"{document['frames']:,}",
                    f"{document['frames_per_s']}",
                    _rolling(document),
                    f"{refused:,}",
                ]
            shown.add_row(member.stream, _state(member, document), *figures, f"{member.deaths:,}", member.node)
        return shown


def _status(member: Member) -> dict[str, Any]:
    """Return the learner's status; empty where there is none."""
    from ciao_stream.stream.learner.status import read_status

    try:
        return read_status(member.folder.status)
    except CiaoError:
        return {}


def _state(member: Member, document: dict[str, Any]) -> str:
    return str(document["state"]) if document and member.state == "at work" else member.state


def _rolling(document: dict[str, Any]) -> str:
    """Return the first metric of each world."""
    worlds = {name: world["prequential"]["rolling"] for name, world in document["worlds"].items()}
    return ", ".join(
        f"{name} {metric} {figures[metric]:.3f}"
        for name, figures in worlds.items()
        for metric in [next((m for m in FIGURES if m in figures), None)]
        if metric
    )
