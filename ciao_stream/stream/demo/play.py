"""Plays the demo through the real commands, each in its own process, on a private server.

Two worlds learn from Anna: ``anna``, whose labels end when she leaves, and ``robot``, whose labels continue when Ben
sits down in another light. The accuracy of ``robot`` falls and recovers: on drift it continues in a copy, ``robot#2``.
``anna`` must predict as before, to the bit; and because it learns nothing more, it is the control for ``robot``.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.synthetic.robot_camera import ACTS, Take
from ciao_stream.encoders import load_encoder
from ciao_stream.encoders.base import Encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.demo import OLD, TASK, DemoSettings
from ciao_stream.stream.demo.results import Faces, Played, Snapshot, newest, snapshots
from ciao_stream.stream.learner.folder import LearnerFolder
from ciao_stream.stream.learner.learner import OnlineLearner
from ciao_stream.stream.learner.status import read_status
from ciao_stream.stream.log.server import running_at

MODULE = "ciao_stream.stream"

ONE_CORE = {"OMP_NUM_THREADS": "1"}
"""Each command uses one core, unless the environment differs: three of them run at the same time."""

LOOK_S = 0.2
"""Seconds between reads of the learner's status."""

PATIENCE_S = 900.0
"""Seconds without progress after which the demo fails."""

END_S = 20.0
"""Seconds that a command has to end after SIGTERM, before it is killed."""


def play(settings: DemoSettings, out: Path, tell: Callable[[str], None]) -> Played:
    """Play the demo.

    Args:
        settings: Of the demo.
        out: Folder of the stream, the learner and the commands' output; missing or empty.
        tell: Called with one line about the progress.

    Raises:
        CiaoError: The folder is not empty, or a command failed.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        used = any(out.iterdir())
    except OSError as error:
        raise CiaoError(f"cannot use {out} for the demo: {error.strerror}; choose another folder") from error
    if used:
        raise CiaoError(f"{out} is not an empty folder: choose another one")
    began, half = time.monotonic(), settings.half
    encoder = load_encoder("ciao-face")
    with contextlib.ExitStack() as stack:
        stage = Stage(settings, out, encoder, stack, tell)
        held = _held(settings, encoder)
        stage.publish(OLD, half)
        stage.publish(TASK, settings.frames, limit=half)
        stage.wait(2 * half)
        kept = {OLD: snapshots(stage.learner(), held)[OLD]}
        tell("the person and the light change")
        predictor = stage.predict(settings.frames - half)
        stage.publish(TASK, settings.frames)
        stage.wait(half + settings.frames, lambda: _keep(stage, held, kept))
        stage.finish(predictor)
        learner = stage.learner()
        control = [json.loads(line) for line in predictor.out.read_text().splitlines()]
        seconds = time.monotonic() - began
        return Played(learner, kept, snapshots(learner, held), control, stage.throughput(), seconds)


def _held(settings: DemoSettings, encoder: Encoder) -> dict[str, Faces]:
    takes = [Take(person, settings.held, settings.seed, "held") for person in ACTS]
    return {
        take.person: Faces.of([take.read(index) for index in range(len(take))], take.targets(), encoder)
        for take in takes
    }


def _keep(stage: Stage, held: dict[str, Faces], kept: dict[str, Snapshot]) -> None:
    """Take a snapshot of each world of the task that was replaced by a copy."""
    if len(stage.status["worlds"]) - len(kept) < 2:
        return
    learner = stage.learner()
    left = learner.to_state().values["tasks"][TASK][:-1]
    if missing := [name for name in left if name not in kept]:
        found = snapshots(learner, held)
        kept |= {name: found[name] for name in missing}


class Command:
    """A running command of ``ciao_stream.stream``.

    Args:
        process: The process.
        name: Of the command.
        out: File of its standard output; standard error is in the same file with the suffix ``.err``.
    """

    def __init__(self, process: subprocess.Popen[bytes], name: str, out: Path) -> None:
        self.out = out
        self._process = process
        self._name = name

    def running(self) -> bool:
        """Return whether it is still running.

        Raises:
            CiaoError: It failed; the message has the last line of its standard error.
        """
        code = self._process.poll()
        if code:
            lines = self.out.with_suffix(".err").read_text(errors="replace").strip().splitlines()
            why = lines[-1].removeprefix("error: ") if lines else "no message"
            raise CiaoError(f"`stream {self._name}` ended with code {code}: {why}")
        return code is None

    def stop(self) -> None:
        """Terminate it and wait until it has ended."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def started(words: Sequence[str], out: Path) -> Iterator[Command]:
    """Run ``python -m ciao_stream.stream WORDS`` in the block, with its output in ``out``, and stop it at the end."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("wb") as output, out.with_suffix(".err").open("wb") as errors:
        argv, environment = [sys.executable, "-m", MODULE, *words], {**ONE_CORE, **os.environ}
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=environment)
    command = Command(process, words[0], out)
    try:
        yield command
    finally:
        command.stop()


class Stage:
    """The processes of the demo; all end with the stack.

    Args:
        settings: Of the demo.
        out: Folder of the stream, the learner and the commands' output.
        encoder: The learner's.
        stack: Stops the processes.
        tell: Called with one line about the learner's progress.
    """

    def __init__(
        self,
        settings: DemoSettings,
        out: Path,
        encoder: Encoder,
        stack: contextlib.ExitStack,
        tell: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self.data = out / "stream"
        self.encoder = encoder
        self.status: dict[str, Any] = {}
        self.busy: list[tuple[int, float]] = []
        """Frames and seconds between two statuses, if frames were learned between them."""
        self._logs = out / "logs"
        self._folder = LearnerFolder(self.data / "worlds" / "frames")
        self._stack = stack
        self._tell = tell
        fixed = ["--window", settings.frames, "--seed", settings.seed, "--on-drift", "new-world"]
        self._learner = self._start("learn", *fixed, *self._common())
        while running_at(self.data) is None:
            self._look()

    def publish(self, scene: str, frames: int, limit: int | None = None) -> None:
        """Publish frames of a scene and wait until all are in the stream; frames published again are ignored there."""
        source = f"synthetic:{scene},frames={frames},seed={self.settings.seed}"
        self.finish(self._start("publish", source, *([] if limit is None else ["--limit", limit])))

    def predict(self, frames: int) -> Command:
        """Start a predictor with the old world, for so many frames from the learner's position on."""
        some = ["--start", self.status["position"], "--max-frames", frames, "--json"]
        return self._start("predict", "--only", OLD, *some, *self._common())

    def wait(self, frames: int, look: Callable[[], None] = lambda: None) -> None:
        """Wait until a checkpoint includes so many frames.

        Args:
            frames: In total.
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
        """Return the learner of the newest checkpoint."""
        return newest(self._folder.checkpoints, self.encoder)

    def throughput(self) -> dict[str, float]:
        """Return how many frames the learner applied while it was busy, and in how many seconds."""
        frames, seconds = (sum(values) for values in zip(*self.busy, strict=True)) if self.busy else (0, 0.0)
        return {"frames": frames, "busy_seconds": seconds, "frames_per_s": frames / seconds if seconds else 0.0}

    def _common(self) -> list[object]:
        """Return the options of learner and predictor; ``--until-idle`` ends them if the demo is killed."""
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
        """Wait a little, then read the learner's status."""
        time.sleep(LOOK_S)
        if not self._learner.running():
            raise CiaoError(f"`stream learn` ended too early: see {self._logs}")
        if time.monotonic() - self._moved > PATIENCE_S:
            raise CiaoError(f"no progress for {PATIENCE_S:.0f} s: see {self._logs}")
        if not self._folder.status.exists():
            return
        before, self.status = self.status, read_status(self._folder.status)
        if before and self.status["frames"] > before["frames"]:
            frames = self.status["frames"] - before["frames"]
            self.busy.append((frames, self.status["updated_at"] - before["updated_at"]))
            self._tell(f"{self.status['frames']:,} frames learned")
            self._moved = time.monotonic()
