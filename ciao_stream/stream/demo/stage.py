"""The stage: a learner, publishers and a predictor, each a process of its own, on a private server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ciao_stream.encoders.base import Encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.demo.processes import Command, started
from ciao_stream.stream.demo.record import newest
from ciao_stream.stream.demo.settings import OLD, DemoSettings
from ciao_stream.stream.learner.folder import LearnerFolder
from ciao_stream.stream.learner.learner import OnlineLearner
from ciao_stream.stream.learner.status import read_status
from ciao_stream.stream.log.server import running_at

LOOK_S = 0.2
"""Seconds from one look at the learner to the next."""

PATIENCE_S = 300.0
"""Seconds without any progress after which it is given up."""


class Stage:
    """What runs; all of it ends with the stack.

    Args:
        settings: Of the demonstration.
        out: Folder of the stream, the learner and what the commands said.
        encoder: What the learner stands on.
        stack: Ends the processes.
        tell: Told in one line how far the learner is.
    """

    def __init__(
        self, settings: DemoSettings, out: Path, encoder: Encoder, stack: ExitStack, tell: Callable[[str], None]
    ) -> None:
        self.settings = settings
        self.data = out / "stream"
        self.encoder = encoder
        self.status: dict[str, Any] = {}
        self.busy: list[tuple[int, float]] = []
        """Frames and seconds from one status to the next, where any frame was learned between the two."""
        self._logs = out / "logs"
        self._folder = LearnerFolder(self.data / "worlds" / "frames")
        self._stack = stack
        self._tell = tell
        fixed = ["--window", settings.frames, "--seed", settings.seed, "--on-drift", "new-world"]
        self._learner = self._start("learn", *fixed, *self._common())
        while running_at(self.data) is None:
            self._look()

    def publish(self, scene: str, frames: int, limit: int | None = None) -> None:
        """Publish frames of a scene, and wait until the stream has them; it takes none twice."""
        source = f"synthetic:{scene},frames={frames},seed={self.settings.seed}"
        publisher = self._start("publish", source, *([] if limit is None else ["--limit", limit]))
        while publisher.running():
            self._look()

    def predict(self, frames: int) -> Command:
        """Let the old world answer for so many frames after those that are learned."""
        some = ["--start", self.status["position"], "--max-frames", frames, "--json"]
        return self._start("predict", "--only", OLD, *some, *self._common())

    def wait(self, frames: int, look: Callable[[], None] = lambda: None) -> None:
        """Wait until so many frames are learned and on disk.

        Args:
            frames: In all.
            look: Called now and then meanwhile.
        """
        while not self._learned(frames):
            self._look()
            look()

    def finish(self, command: Command) -> None:
        """Wait until a command has ended."""
        while command.running():
            self._look()

    def learner(self) -> OnlineLearner:
        """Return the learner as its newest checkpoint has it."""
        return newest(self._folder.checkpoints, self.encoder)

    def throughput(self) -> dict[str, float]:
        """Return how many frames the learner took while it was busy, and in how many seconds."""
        frames, seconds = (sum(values) for values in zip(*self.busy, strict=True)) if self.busy else (0, 0.0)
        return {"frames": frames, "busy_seconds": seconds, "frames_per_s": frames / seconds if seconds else 0.0}

    def _common(self) -> list[object]:
        """Options of whoever answers; if the demonstration is killed, they end by themselves."""
        return ["--encoder", self.encoder.name, "--device", "cpu", "--until-idle", PATIENCE_S]

    def _start(self, name: str, *words: object) -> Command:
        self._moved = time.monotonic()
        number = len(list(self._logs.glob("*.out"))) + 1
        log = self._logs / f"{number}-{name}.out"
        return self._stack.enter_context(started([name, "--data", str(self.data), *map(str, words)], log))

    def _learned(self, frames: int) -> bool:
        status = self.status
        return bool(status) and status["frames"] >= frames and status["watermark"] == status["position"]

    def _look(self) -> None:
        """Wait a little, and read the learner's status.

        Raises:
            CiaoError: It failed, or does not get on.
        """
        time.sleep(LOOK_S)
        if not self._learner.running():
            raise CiaoError(f"`stream learn` ended by itself: see {self._logs}")
        if time.monotonic() - self._moved > PATIENCE_S:
            raise CiaoError(f"nothing has moved for {PATIENCE_S:.0f} s: see {self._logs}")
        if not self._folder.status.exists():
            return
        before, self.status = self.status, read_status(self._folder.status)
        if before and self.status["frames"] > before["frames"]:
            frames = self.status["frames"] - before["frames"]
            self.busy.append((frames, self.status["updated_at"] - before["updated_at"]))
            self._tell(f"{self.status['frames']:,} frames learned")
            self._moved = time.monotonic()


def results(command: Command) -> list[dict[str, Any]]:
    """Return what a predictor printed."""
    return [json.loads(line) for line in command.out.read_text().splitlines()]
