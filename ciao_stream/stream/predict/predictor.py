"""Follows the frames of a stream and answers for each in some worlds, while a learner keeps changing the worlds.

Each face passes through the trunk once for all worlds. A predictor never learns, and writes nothing but results: see
:mod:`ciao_stream.stream.predict.results`.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ciao_stream.encoders.base import Encoder
from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.faces.statistics import pooled
from ciao_stream.runtime.stopping import Stop, Stopped
from ciao_stream.stream.log.connection import CursorLostError, RedisFullError, UnreachableError, seconds_until_retry
from ciao_stream.stream.log.feed import FrameFeed
from ciao_stream.stream.log.images import read_image
from ciao_stream.stream.log.keys import Entry
from ciao_stream.stream.log.messages import FrameHeader, header_of
from ciao_stream.stream.log.refusals import BadMessage
from ciao_stream.stream.predict.choice import Chooser
from ciao_stream.stream.predict.results import Frame, Results
from ciao_stream.stream.predict.settings import PredictSettings
from ciao_stream.stream.predict.worlds import Served, UpToDate

BLOCK_MS = 250
"""Milliseconds for which a read waits for an entry."""

NO_WORLD_S = 0.1
"""Seconds between checks for the first world."""

RETRY_S = (0.1, 5.0)
"""Seconds between attempts while Redis is away: the first, and the longest; doubled in between, with jitter."""

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Done:
    """The outcome of some entries; it counts once it is published."""

    entries: list[Entry]
    frames: int = 0
    results: list[dict[str, Any]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)

    def drop(self, positions: frozenset[str]) -> None:
        """Drop entries that another predictor answers."""
        self.entries = [entry for entry in self.entries if entry.position not in positions]
        self.frames -= len({result["position"] for result in self.results} & positions)
        self.results = [result for result in self.results if result["position"] not in positions]


def _ignore(_: Any) -> None:
    """Do nothing (default callback)."""


class Predictor:
    """Answers for the frames of one stream.

    Args:
        encoder: The encoder of the worlds.
        worlds: The newest version of the worlds; closed at the end.
        feed: Where frames come from and results go; closed at the end.
        settings: How it answers.
        only: Names of the worlds that answer, or of the candidates for a choice; empty: all worlds.
        stop: A request to stop.
        tell: Called with one line when something goes wrong, and when a newer version takes over.
        on_result: Called with every result once it is published.

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
        self._last = ""
        self._tries = 0
        self._begun = False
        self._unsent: _Done | None = None
        self._results = Results(self.settings)
        smooth, choose = self.settings.smooth, self.settings.choose
        self._chooser = None if choose is None else Chooser(smooth, self._report)
        self._last_entry = time.monotonic()
        if smooth is not None and feed.group is not None:
            raise CiaoError("--smooth needs all frames, but a predictor in a --group sees only some: omit one of them")

    def run(self) -> None:
        """Predict until asked to stop, or until a limit of the settings is reached.

        Raises:
            CiaoError: The worlds cannot be read, a requested world does not exist, or the server refuses the predictor.
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
        """Take over a newer version if there is one, then answer for waiting frames."""
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
                self._say("no world yet: waiting for the learner")
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
        """Answer for all frames in some entries, in one pass through the trunk."""
        served, done, frames, read_at = self._served(), _Done(entries), [], time.monotonic()
        for entry in entries:
            try:
                if (frame := self._frame(entry, read_at)) is not None:
                    frames.append(frame)
            except BadMessage as error:
                _log.warning("skipped entry %s: %s", entry.position, error.reason.value)
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
                    choice = self._chooser.scores(frame.header, features[index])
                    answering = [max(choice, key=choice.__getitem__)] if choice else []
                    done.skipped["no_world_fits"] += not answering
                for name in answering:
                    if np.isfinite(own[name]).all():
                        done.results.append(self._results.make(served, frame, name, own[name], choice))
                    else:
                        done.skipped["not_finite"] += 1
        return done

    def _frame(self, entry: Entry, read_at: float) -> Frame | None:
        """Return the frame in an entry; None for a task or a label, or if it was trimmed meanwhile."""
        if not entry.fields:
            return None
        header = header_of(entry.fields)
        if not isinstance(header, FrameHeader):
            return None
        pixels = self.encoder.preprocessing.fit(read_image(entry.fields[b"image"]))
        return Frame(entry.position, header, pixels, read_at)

    def _send(self, done: _Done) -> None:
        with self._stop.safe():
            done.drop(self._feed.given_away(done.entries))
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
        """Return the worlds that answer now, or the candidates for a choice."""
        return self._wanted() if self._chooser is None else self._chooser.worlds

    def _wanted(self) -> Sequence[str]:
        """Return the existing worlds that may answer."""
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
        versions = ", ".join(f"{name} (version {served.versions[name]})" for name in self._answering())
        self._report(f"predicting with {versions or 'no world yet'}")
        for name in missing:
            self._report(f"world {name!r} does not exist (known: {', '.join(known) or 'none'})")

    def _report(self, text: str) -> None:
        _log.info("%s", text)
        self._tell(text)

    def _say(self, text: str) -> None:
        """Report a state that may last, once."""
        if text and text != self._last:
            self._report(text)
        self._last = text

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
