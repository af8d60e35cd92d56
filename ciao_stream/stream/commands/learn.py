"""``learn``: follow the stream and learn from every labelled frame."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import TYPE_CHECKING

from ciao_stream.stream.commands._options import config_of, folder_of, learner_config_options, learner_option, server_of

if TYPE_CHECKING:
    from ciao_stream.stream.learner.folder import LearnerFolder
    from ciao_stream.stream.learner.follow import Follower
    from ciao_stream.stream.learner.learner import OnlineLearner
    from ciao_stream.stream.learner.status import StatusWriter

SUMMARY = "follow the stream and learn from every labelled frame"


def add_options(p: argparse.ArgumentParser) -> None:
    """Add the options."""
    learner_option(p)
    learner_config_options(p)


def run(options: argparse.Namespace) -> None:
    """Learn until SIGTERM, Ctrl-C, or as the options say; then write the worlds for others to load.

    SIGUSR1 writes the worlds at once.
    """
    config = config_of(options)

    from ciao_stream.runtime.stopping import Stop
    from ciao_stream.stream.learner.status import StatusWriter
    from ciao_stream.stream.log.keys import StreamNames
    from ciao_stream.stream.log.log import FrameLog

    options.resumes = True
    folder, names, stop = folder_of(options), StreamNames(options.stream), Stop()
    with folder.claimed(), stop.on_signals(), server_of(options) as address:
        watch = _Watch(StatusWriter(folder.status, str(address())), folder)
        with watch.showing():
            follower = config.follower(folder, lambda: FrameLog(address(), names), stop=stop, watch=watch)
            try:
                follower.run()
            finally:
                watch.export(follower.learner)
                watch.say(follower.summary())
    if stop.by_signal == signal.SIGINT:
        raise KeyboardInterrupt


class _Watch:
    """Keeps the status up to date, reports events on stderr, and writes the worlds on SIGUSR1."""

    def __init__(self, writer: StatusWriter, folder: LearnerFolder) -> None:
        from rich.console import Console

        self._writer = writer
        self._folder = folder
        self._console = Console(stderr=True, highlight=False)
        self._line = self._console.status("following the stream")
        self._incidents = 0.0
        self._trouble = ""
        self._asked = False

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Show the progress of the block, and handle SIGUSR1."""

        def ask(_: int, __: FrameType | None) -> None:
            self._asked = True

        before = signal.signal(signal.SIGUSR1, ask)
        try:
            with self._line if self._console.is_terminal else nullcontext():
                yield
        finally:
            signal.signal(signal.SIGUSR1, before)

    def __call__(self, follower: Follower) -> None:
        document = self._writer(follower)
        for incident in document["incidents"]:
            if incident["at"] > self._incidents:
                self.say(f"incident: {incident['text']}")
                self._incidents = incident["at"]
        if document["trouble"] != self._trouble:
            self._trouble = document["trouble"]
            if self._trouble:
                self.say(f"{document['state']}: {self._trouble}")
        if self._asked:
            self._asked = False
            self.export(follower.learner)
        lag = "" if document["lag"] is None else f", {document['lag']:,} waiting"
        self._line.update(f"{document['frames']:,} frames{lag}, {document['frames_per_s']} per second")

    def export(self, learner: OnlineLearner) -> None:
        """Write the worlds."""
        for problem in learner.save_worlds(self._folder.worlds):
            self.say(problem)

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, markup=False, soft_wrap=True)
