"""Follows the frames of a stream and answers for each in some worlds, while a learner goes on changing them.

A face goes through the trunk once for all worlds. It never learns, and writes nothing but results, each a JSON object:

==============  ==================================================================================================
key             value
==============  ==================================================================================================
position        of the frame's entry in the stream
frame_id        of the frame; ``task``, ``producer``, ``person`` and ``camera`` too are as it came
world           who answers, and ``kind``, what it answers
choice          where the world was chosen: ``rule``, and ``scores`` of all that could be, by world; the highest answers
version         number of the checkpoint that the world was read from, or the start of the world's sha256
probabilities   by label; of a dimensional world instead ``values``, by dimension
answer          a label, a list of labels (multilabel), values (dimensional), or ``""``: not sure enough
confidence      probability of the answer; null for a dimensional world
latency_ms      from when the frame was read to the answer
age_ms          from when Redis took the frame to the answer, by the two clocks
==============  ==================================================================================================
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import torch

from ciao_stream.encoders.base import Encoder
from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.faces.statistics import pooled
from ciao_stream.faces.task import TaskSpec
from ciao_stream.runtime.stopping import Stop, Stopped
from ciao_stream.stream.log.connection import CursorLostError, RedisFullError, UnreachableError, seconds_until_retry
from ciao_stream.stream.log.feed import FrameFeed
from ciao_stream.stream.log.images import read_image
from ciao_stream.stream.log.keys import Entry, appended_at, order
from ciao_stream.stream.log.labels import label_target
from ciao_stream.stream.log.messages import FrameHeader, header_of
from ciao_stream.stream.log.refusals import BadMessage
from ciao_stream.stream.predict.choosing import Chooser
from ciao_stream.stream.predict.served import Served, UpToDate
from ciao_stream.stream.predict.temperature import Temperature
from ciao_stream.worlds.answers import Names, Smoother, answer, probabilities
from ciao_stream.worlds.choice import check_rule

BLOCK_MS = 250
"""Milliseconds for which a read waits for an entry."""

NO_WORLD_S = 0.1
"""Seconds from one look for the first world to the next."""

RETRY_S = (0.1, 5.0)
"""Seconds between tries while Redis is away: the first, and the most; doubled in between, with jitter."""


@dataclass(frozen=True)
class PredictSettings:
    """How a predictor answers.

    Args:
        batch: Most faces that go through the trunk together, >= 1, of those that wait; one is never waited for.
        smooth: Time constant in frames, > 0, over which answers for one producer and person are smoothed; None: none.
        abstain: Confidence in [0, 1] below which the answer is empty; None: always answer.
        calibrate: Whether confidence is calibrated, by a temperature fitted on the newest frames that came with their
            label. Only answers of versions that had not learned these count, where the version tells that.
        names: How labels are called: ``task``, or ``ros4hri`` for those of hri_msgs/Expression.
        choose: Rule of :mod:`ciao_stream.worlds.choice` by which one world answers for each face, whatever task the
            frame names; with ``smooth``, by its scores smoothed for one producer and camera. None: every world answers.
        until_idle: Seconds without an entry after which it ends; None: it does not.
        max_frames: Frames after which it ends; None: it does not.

    Raises:
        CiaoError: A value is out of range.
    """

    batch: int = 8
    smooth: float | None = None
    abstain: float | None = None
    calibrate: bool = False
    names: Names = "task"
    choose: str | None = None
    until_idle: float | None = None
    max_frames: int | None = None

    def __post_init__(self) -> None:
        limits = {"batch": (1, 4096), "abstain": (0, 1), "until_idle": (0, math.inf), "max_frames": (1, math.inf)}
        for name, (least, most) in limits.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise CiaoError(f"{name}: expected a number from {least} to {most} but got {value}")
        if self.smooth is not None:
            Smoother(self.smooth)
        if self.names not in get_args(Names):
            raise UnknownNameError("names", self.names, get_args(Names))
        if self.choose is not None:
            check_rule(self.choose)


@dataclass(frozen=True, eq=False)
class _Frame:
    position: str
    header: FrameHeader
    pixels: npt.NDArray[np.uint8]
    read_at: float


@dataclass(eq=False)
class _Done:
    """What some entries came to; it counts when it is published."""

    entries: list[Entry]
    frames: int = 0
    results: list[dict[str, Any]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)

    def leave_out(self, positions: frozenset[str]) -> None:
        """Forget what is somebody else's to answer."""
        self.entries = [entry for entry in self.entries if entry.position not in positions]
        self.frames -= len({result["position"] for result in self.results} & positions)
        self.results = [result for result in self.results if result["position"] not in positions]


def _ignore(_: Any) -> None:
    """Look away."""


class Predictor:
    """Answers for the frames of one stream.

    Args:
        encoder: What the worlds stand on.
        worlds: The newest version of the worlds; closed at the end.
        feed: Where frames come from and results go; closed at the end.
        settings: How it answers.
        only: Names of the worlds that answer, or among which is chosen; empty: all that there are.
        stop: Through which it can be asked to stop.
        tell: Told in one line what goes wrong, and which version takes over.
        on_result: Told every result once it is published.

    Raises:
        CiaoError: Settings contradict each other.
    """

    def __init__(
        self,
        encoder: Encoder,
        worlds: UpToDate,
        feed: FrameFeed,
        settings: PredictSettings | None = None,
        *,
        only: Sequence[str] = (),
        stop: Stop | None = None,
        tell: Callable[[str], None] = _ignore,
        on_result: Callable[[dict[str, Any]], None] = _ignore,
    ) -> None:
        self.encoder = encoder
        self.settings = settings or PredictSettings()
        self.frames = 0
        self.results = 0
        self.skipped: Counter[str] = Counter()
        self._worlds = worlds
        self._feed = feed
        self._only = tuple(dict.fromkeys(only))
        self._stop = stop or Stop()
        self._tell = tell
        self._on_result = on_result
        self._told = ""
        self._tries = 0
        self._begun = False
        self._unsent: _Done | None = None
        self._smoother = None if self.settings.smooth is None else Smoother(self.settings.smooth)
        self._temperatures: dict[str, Temperature] = {}
        smooth, choose = self.settings.smooth, self.settings.choose
        self._chooser = None if choose is None else Chooser(choose, smooth, tell)
        self._last_entry = time.monotonic()
        if self._smoother is not None and feed.group is not None:
            raise CiaoError("in a group each predictor sees some frames alone: leave out --group, or --smooth")

    def run(self) -> None:
        """Answer until there is a reason to stop.

        Raises:
            CiaoError: There are worlds, but they cannot be read, or one that is wanted is not there; or the server
            refuses us.
        """
        self._last_entry = time.monotonic()
        try:
            while not self._done():
                try:
                    self._turn()
                except (UnreachableError, RedisFullError, CursorLostError) as error:
                    self._feed.close()
                    self._pause(str(error))
        except Stopped:
            pass
        finally:
            self._feed.leave()
            self._worlds.close()

    def _turn(self) -> None:
        """Swap versions if there is a newer one, then answer for what is waiting."""
        if self._worlds.refresh():
            self._swapped()
        if self._unsent is not None and self._feed.group is None:
            self._send(self._unsent)
        self._unsent = None
        names = self._answering()
        if not names:
            if self._worlds.reading:
                self._last_entry = time.monotonic()
            else:
                self._say("no world is there yet: waiting for the learner")
            self._stop.sleep(NO_WORLD_S)
            return
        if self._feed.crashed:
            self.skipped["crash"] = self._feed.crashed
        left = self.settings.max_frames and self.settings.max_frames - self.frames
        with self._stop.safe():
            entries = self._feed.read(min(self.settings.batch, left or self.settings.batch), BLOCK_MS)
        if not entries:
            self._well()
        else:
            self._unsent = done = self._answer(entries, names)
            self._send(done)
            self._unsent = None
            self._last_entry = time.monotonic()

    def _answer(self, entries: list[Entry], names: Sequence[str]) -> _Done:
        """Answer for all frames among some entries, in one pass through the trunk."""
        served, done, frames, read_at = self._served(), _Done(entries), [], time.monotonic()
        for entry in entries:
            try:
                if (frame := self._frame(entry, read_at)) is not None:
                    frames.append(frame)
            except BadMessage as error:
                done.skipped[error.reason.value] += 1
        done.frames = len(frames)
        if frames:
            pixels = torch.from_numpy(np.stack([frame.pixels for frame in frames])).to(self.encoder.device)
            z = self.encoder.stored_z(pixels)
            answers = served.worlds.predict_encoded(pixels, z, *names)
            outputs = {name: each.cpu().numpy() for name, each in answers.items()}
            features = None if self._chooser is None else pooled(z)
            for index, frame in enumerate(frames):
                own = {name: each[index] for name, each in outputs.items()}
                choice, answering = None, names
                if self._chooser is not None and features is not None:
                    choice = self._chooser.scores(frame.header, features[index], own)
                    answering = [max(choice, key=choice.__getitem__)] if choice else []
                    done.skipped["no_world_fits"] += not answering
                for name in answering:
                    if np.isfinite(own[name]).all():
                        done.results.append(self._result(served, frame, name, own[name], choice))
                    else:
                        done.skipped["not_finite"] += 1
        return done

    def _frame(self, entry: Entry, read_at: float) -> _Frame | None:
        """Return the frame in an entry; None where there is none: it is a task or a label, or was trimmed meanwhile.

        Raises:
            BadMessage: It is bad.
        """
        if not entry.fields:
            return None
        header = header_of(entry.fields)
        if not isinstance(header, FrameHeader):
            return None
        pixels = self.encoder.preprocessing.fit(read_image(entry.fields[b"image"]))
        return _Frame(entry.position, header, pixels, read_at)

    def _result(
        self,
        served: Served,
        frame: _Frame,
        name: str,
        outputs: npt.NDArray[np.float32],
        choice: dict[str, float] | None,
    ) -> dict[str, Any]:
        spec, header = served.worlds[name].spec, frame.header
        temperature = 1.0
        if self.settings.calibrate and spec.kind != "dimensional":
            temperature = self._temperature(served, frame, spec, outputs)
        values = probabilities(spec, outputs, temperature)
        if self._smoother is not None:
            values = self._smoother((header.producer, header.person), name, values)
        said = answer(spec, values, self.settings.abstain, self.settings.names)
        return {
            "position": frame.position,
            "frame_id": header.frame_id,
            "task": header.task,
            "producer": header.producer,
            "person": header.person,
            "camera": header.camera,
            "world": name,
            "kind": spec.kind,
            **({} if choice is None else {"choice": {"rule": self.settings.choose, "scores": choice}}),
            "version": served.versions[name],
            "values" if spec.kind == "dimensional" else "probabilities": said.values,
            "answer": said.answer,
            "confidence": said.confidence,
            "latency_ms": round((time.monotonic() - frame.read_at) * 1000, 3),
            "age_ms": round((time.time() - appended_at(frame.position)) * 1000, 3),
        }

    def _temperature(self, served: Served, frame: _Frame, spec: TaskSpec, outputs: npt.NDArray[np.float32]) -> float:
        """Return the temperature for an answer; only afterwards is anything learned from the frame's own label."""
        fitted = self._temperatures.get(spec.name)
        if fitted is None or fitted.spec != spec:
            fitted = self._temperatures[spec.name] = Temperature(spec)
        temperature, header = fitted.value, frame.header
        unlearned = served.position is None or order(frame.position) > order(served.position)
        if header.label is not None and unlearned and served.learns.get(header.task) == spec.name:
            with suppress(BadMessage):
                fitted.take(outputs, label_target(spec, header.label))
        return temperature

    def _send(self, done: _Done) -> None:
        with self._stop.safe():
            done.leave_out(self._feed.given_away(done.entries))
        if not done.entries:
            return
        lines = [json.dumps(result, allow_nan=False) for result in done.results]
        with self._stop.safe():
            self._feed.publish(done.entries, lines)
        self._well()
        self.frames += done.frames
        self.results += len(done.results)
        self.skipped += done.skipped
        for result in done.results:
            self._on_result(result)

    def _answering(self) -> Sequence[str]:
        """Return the worlds that answer now, or among which is chosen."""
        return self._wanted() if self._chooser is None else self._chooser.worlds

    def _wanted(self) -> Sequence[str]:
        """Return the worlds that are there and may answer."""
        current = self._worlds.current
        known = () if current is None else tuple(current.worlds)
        return [name for name in self._only if name in known] if self._only else known

    def _served(self) -> Served:
        served = self._worlds.current
        if served is None:
            raise RuntimeError("no version of the worlds was read")
        return served

    def _swapped(self) -> None:
        served = self._served()
        known = served.worlds
        missing = [name for name in self._only if name not in known]
        if self._chooser is not None:
            self._chooser.take([served.worlds[name] for name in self._wanted()], first=not self._begun)
        if known and not self._begun:
            if missing:
                raise UnknownNameError("world", missing[0], known)
            self._begun, self._last_entry = True, time.monotonic()
        said = ", ".join(f"{name} {served.versions[name]}" for name in self._answering())
        self._tell(f"answering with {said or 'nothing yet'}")
        for name in missing:
            self._tell(f"world {name!r} is not there (known: {', '.join(known) or 'none'})")

    def _say(self, text: str) -> None:
        """Tell something that may last, once."""
        if text and text != self._told:
            self._tell(text)
        self._told = text

    def _pause(self, trouble: str) -> None:
        self._say(trouble)
        wait = seconds_until_retry(RETRY_S, self._tries)
        self._tries += 1
        self._stop.sleep(wait)
        self._last_entry = time.monotonic()

    def _well(self) -> None:
        self._tries = 0
        self._say(self._worlds.problem)

    def _done(self) -> bool:
        settings = self.settings
        if settings.max_frames is not None and self.frames >= settings.max_frames:
            return True
        idle = time.monotonic() - self._last_entry
        return self._stop.requested or (settings.until_idle is not None and idle >= settings.until_idle)
