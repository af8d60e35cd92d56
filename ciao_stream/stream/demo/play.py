"""Plays the demonstration through the real commands.

Two worlds hear Anna: ``anna``, whose labels end when she leaves, and ``robot``, whose labels go on when Ben sits down
in another light. ``robot`` falls and recovers: on drift it goes on in a copy, ``robot#2``. ``anna`` is the old world,
which has to answer as before to the bit; and, since it learns nothing more, it is the control that shows how ``robot``
would have fared without learning.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.synthetic.robot_camera import ACTS, Take
from ciao_stream.encoders import load_encoder
from ciao_stream.encoders.base import Encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.demo.record import Faces, Standing, standings
from ciao_stream.stream.demo.settings import OLD, TASK, DemoSettings
from ciao_stream.stream.demo.stage import Stage, results
from ciao_stream.stream.learner.learner import OnlineLearner

Tell = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Played:
    """What came of it.

    Args:
        learner: At the end.
        kept: By world that learns no more: what it was worth when it stopped, or as soon after as was looked.
        end: By world, what it is worth at the end.
        control: What the old world answered for each frame after the change, as a predictor gave it.
        throughput: Of the learner.
        seconds: In all.
    """

    learner: OnlineLearner
    kept: dict[str, Standing]
    end: dict[str, Standing]
    control: list[dict[str, Any]]
    throughput: dict[str, float]
    seconds: float


def play(settings: DemoSettings, out: Path, tell: Tell) -> Played:
    """Play the demonstration.

    Args:
        settings: How.
        out: Where the stream, the learner and the commands' output go: a folder that is not there yet, or empty.
        tell: Told in one line what is going on.

    Raises:
        CiaoError: The folder is in use, or a command failed.
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
    with ExitStack() as stack:
        stage = Stage(settings, out, encoder, stack, tell)
        held = _held(settings, encoder)
        stage.publish(OLD, half)
        stage.publish(TASK, settings.frames, limit=half)
        stage.wait(2 * half)
        kept = {OLD: standings(stage.learner(), held)[OLD]}
        tell("the person and the light change")
        answering = stage.predict(settings.frames - half)
        stage.publish(TASK, settings.frames)
        stage.wait(half + settings.frames, lambda: _keep(stage, held, kept))
        stage.finish(answering)
        learner = stage.learner()
        end = standings(learner, held)
        return Played(learner, kept, end, results(answering), stage.throughput(), time.monotonic() - began)


def _held(settings: DemoSettings, encoder: Encoder) -> dict[str, Faces]:
    takes = [Take(person, settings.held, settings.seed, "held") for person in ACTS]
    return {
        take.person: Faces.of([take.read(index) for index in range(len(take))], take.targets(), encoder)
        for take in takes
    }


def _keep(stage: Stage, held: dict[str, Faces], kept: dict[str, Standing]) -> None:
    """Once a world of the task was left for another one, take down what it is worth."""
    if len(stage.status["worlds"]) - len(kept) < 2:
        return
    learner = stage.learner()
    left = learner.to_state().values["tasks"][TASK][:-1]
    if missing := [name for name in left if name not in kept]:
        found = standings(learner, held)
        kept |= {name: found[name] for name in missing}
