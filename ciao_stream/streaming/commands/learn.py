"""``learn``: follow the stream, and learn from every labelled frame."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import TYPE_CHECKING

from ciao_stream.command import changes, torch_device
from ciao_stream.streaming.commands._learner import folder_of, learner_option
from ciao_stream.streaming.commands._server import server_of
from ciao_stream.streaming.commands._settings import given, setting_options
from ciao_stream.streaming.pace import FollowSettings
from ciao_stream.streaming.settings import StreamSettings

if TYPE_CHECKING:
    from ciao_stream.settings import Settings
    from ciao_stream.streaming.follow import Follower
    from ciao_stream.streaming.learner_folder import LearnerFolder
    from ciao_stream.streaming.online import OnlineLearner
    from ciao_stream.streaming.status import StatusWriter

SUMMARY = "follow the stream, and learn from every labelled frame"


def add_options(p: argparse.ArgumentParser) -> None:
    """Describe the options."""
    learner_option(p)
    p.add_argument("--encoder", default="ciao-face", metavar="E", help="what all worlds stand on (%(default)s)")
    p.add_argument("--preset", metavar="P", help="what worlds are made of: default or paper (default)")
    p.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="replace one of the preset's settings"
    )
    p.add_argument("--seed", type=int, metavar="N", help="of the run (0)")
    p.add_argument("--device", default="auto", metavar="D", help="auto, cpu or cuda (%(default)s)")
    learning = p.add_argument_group("learning", "fixed when the learner is made; later they must be the same")
    setting_options(learning, StreamSettings)
    setting_options(p.add_argument_group("following"), FollowSettings)


def run(options: argparse.Namespace) -> None:
    """Learn until SIGTERM, Ctrl-C, or what the options say; then write the worlds for others to load.

    SIGUSR1 writes the worlds at once.

    Raises:
        CiaoError: The folder, the encoder or the server cannot be had, or too many messages are bad.
    """
    from ciao_stream.encoders import load_encoder
    from ciao_stream.streaming.follow import Follower
    from ciao_stream.streaming.log import FrameLog
    from ciao_stream.streaming.names import StreamNames
    from ciao_stream.streaming.online import OnlineLearner
    from ciao_stream.streaming.status import StatusWriter
    from ciao_stream.streaming.stopping import Stop

    options.resumes = True
    folder, names, stop = folder_of(options), StreamNames(options.stream), Stop()
    settings = FollowSettings(**given(options, FollowSettings))
    made_of = _world_settings(options)
    device = torch_device(options.device)
    with folder.claimed(), stop.on_signals(), server_of(options) as address:
        encoder = load_encoder(options.encoder).to(device)
        fresh = OnlineLearner(encoder, StreamSettings(**given(options, StreamSettings)), made_of, options.seed or 0)
        watch = _Watch(StatusWriter(folder.status, str(address())), folder)
        with watch.showing():
            follower = Follower(fresh, folder, lambda: FrameLog(address(), names), settings, stop=stop, watch=watch)
            _require_same(options, fresh, follower.learner, folder)
            try:
                follower.run()
            finally:
                watch.export(follower.learner)
                watch.say(_summary(follower))
    if stop.by_signal == signal.SIGINT:
        raise KeyboardInterrupt


def _world_settings(options: argparse.Namespace) -> Settings:
    from ciao_stream.exceptions import UnknownNameError
    from ciao_stream.settings import PRESETS

    preset = options.preset or "default"
    if preset not in PRESETS:
        raise UnknownNameError("preset", preset, PRESETS)
    return PRESETS[preset].changed(changes(options.set))


def _require_same(
    options: argparse.Namespace, fresh: OnlineLearner, found: OnlineLearner, folder: LearnerFolder
) -> None:
    """Refuse options that contradict the learner that is there already."""
    from ciao_stream.exceptions import CiaoError

    wrong = [
        "--" + name.replace("_", "-")
        for name, value in given(options, StreamSettings).items()
        if getattr(found.settings, name) != value
    ]
    if (options.preset or options.set) and found.world_settings != fresh.world_settings:
        wrong.append("--preset and --set")
    if options.seed is not None and found.seed != options.seed:
        wrong.append("--seed")
    if wrong:
        raise CiaoError(
            f"the learner in {folder.path} was made with other {', '.join(wrong)}: leave these out to go on with it, "
            "or choose another --worlds"
        )


def _summary(follower: Follower) -> str:
    ledger, refused = follower.ledger, follower.ledger.refused.total()
    parts = [f"{follower.frames:,} frames now, {ledger.frames:,} in all, up to {follower.learner.position}"]
    if refused:
        parts.append(f"{refused:,} messages refused")
    if ledger.tracker.lost:
        parts.append(f"{ledger.tracker.lost:,} lost on the way")
    return f"learned: {'; '.join(parts)}; in {follower.folder.path}"


class _Watch:
    """Keeps the status up to date, says what happens on stderr, and writes the worlds when SIGUSR1 asks for them."""

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
        """Show what goes on in the block, and listen to the signal."""

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
        lag = "" if document["lag"] is None else f", {document['lag']:,} to come"
        self._line.update(f"{document['frames']:,} frames{lag}, {document['frames_per_s']} per second")

    def export(self, learner: OnlineLearner) -> None:
        """Write the worlds."""
        from ciao_stream.streaming.export import export_worlds

        for problem in export_worlds(learner, self._folder.worlds):
            self.say(problem)

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, markup=False, soft_wrap=True)
