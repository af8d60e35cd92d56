"""Sends a source's frames to the stream: each once and in order, despite full streams, lost servers and kill -9.

A message is sent again until it is accepted, and no other is sent before: no number is ever skipped. A publisher that
was killed is started again from the beginning: the stream does not take a message twice.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import redis

from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import Image
from ciao_stream.faces.detection import Detector
from ciao_stream.faces.task import TaskSpec
from ciao_stream.stream.log.append import MAX_BACKLOG, Appender, BacklogError
from ciao_stream.stream.log.connection import (
    RedisAddress,
    RedisFullError,
    UnreachableError,
    seconds_until_retry,
    translated_errors,
)
from ciao_stream.stream.log.events import Label
from ciao_stream.stream.log.images import write_image
from ciao_stream.stream.log.keys import StreamNames, order
from ciao_stream.stream.log.messages import Fields, encode_frame, encode_label, encode_task
from ciao_stream.stream.publish.settings import PublishSettings
from ciao_stream.stream.sources import Skipped, Source, SourceFrame, Tell

LONGEST_SIDE = 288
"""Pixels. Larger images are shrunk to this: as PNG any such image fits into a message, and encoders need less."""

FULL_S = (0.02, 1.0)
"""Seconds between attempts while the stream is full: the first, and the longest; doubled in between, with jitter."""

GONE_S = (0.1, 30.0)
"""Seconds between attempts while the server does not respond."""

DIGITS = 12
"""Hex digits that distinguish producers of one title."""

NO_FACE = "no face found"
"""Why an image without a face is skipped."""

_log = logging.getLogger(__name__)


@dataclass
class Published:
    """What has been sent and accepted so far.

    Args:
        frames: Frames.
        labels: Labels, with their frames or later.
        known: Messages that an earlier run had sent already, including declarations of tasks.
        skipped: Frames that were not sent, by reason.
        examples: What was wrong with the first frame of each reason.
    """

    frames: int = 0
    labels: int = 0
    known: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)


Watch = Callable[[Published], None]
"""Called with what has been sent so far."""


def _ignore(_: object) -> None:
    """Do nothing (default callback)."""


def producer_name(source: Source, spec: TaskSpec, decides: dict[str, Any]) -> str:
    """Return the name under which a source is published; no number is used twice under one name.

    A live source gets a new name each time. A replayed one gets the same name whenever it would send the same messages:
    its publisher, started again, repeats itself, and the stream takes each message once.

    Args:
        source: Where the frames come from.
        spec: The task of the frames.
        decides: Everything else that determines the messages and their order, as plain JSON values.
    """
    if source.fingerprint is None:
        return f"{source.title}-{secrets.token_hex(DIGITS // 2)}"
    content = json.dumps([source.fingerprint, spec.to_json(), decides], sort_keys=True)
    return f"{source.title}-{hashlib.sha256(content.encode()).hexdigest()[:DIGITS]}"


def cut_to_faces(frames: Iterable[SourceFrame | Skipped], detector: Detector) -> Iterator[SourceFrame | Skipped]:
    """Yield each frame cut to its largest face; frames without a face are skipped."""
    for frame in frames:
        if isinstance(frame, Skipped):
            yield frame
        elif (face := _largest_face(frame.image, detector)) is None:
            yield Skipped(frame.number, NO_FACE, f"frame {frame.number}: {detector.name} finds no face")
        else:
            yield replace(frame, image=face)


class Publisher:
    """Publishes one source once.

    Args:
        address: Returns the server's address; called at the start and whenever the server does not respond.
        producer: See :func:`producer_name`.
        spec: The task, which is declared first.
        settings: What is sent, and how fast.
        names: The stream's keys.
        place: The ``camera`` of the frames' headers.
        max_backlog: Most entries that the learner, or another group, may still have to process.
    """

    def __init__(
        self,
        address: Callable[[], RedisAddress],
        producer: str,
        spec: TaskSpec,
        settings: PublishSettings | None = None,
        *,
        names: StreamNames | None = None,
        place: str | None = None,
        max_backlog: int = MAX_BACKLOG,
    ) -> None:
        self.producer = producer
        self.spec = spec
        self.settings = settings or PublishSettings()
        self.published = Published()
        self._address = address
        self._names = names
        self._place = place
        self._max_backlog = max_backlog
        self._tell: Tell = _ignore
        self._watch: Watch = _ignore
        self._appender: Appender | None = None
        self._seq = 0
        self._began: int | None = None
        self._late: deque[tuple[str, Label]] = deque()

    def run(self, frames: Iterable[SourceFrame | Skipped], tell: Tell = _ignore, watch: Watch = _ignore) -> Published:
        """Declare the task, then send the frames from the first one.

        Args:
            frames: As :meth:`ciao_stream.stream.sources.Source.frames` yields them.
            tell: Called with what the publisher waits for.
            watch: Called after every frame and every label.

        Returns:
            :attr:`published`, which is up to date at any time, also after an exception.

        Raises:
            BadMessage: The stream has another message of the same name.
            CiaoError: The source fails, or the server refuses the publisher.
        """
        self._tell, self._watch = tell, watch
        try:
            self._send(encode_task(self.spec, producer=self.producer, seq=self._seq))
            for frame in self._paced(iter(frames)):
                if isinstance(frame, Skipped):
                    _log.warning("skipped frame %d: %s", frame.number, frame.reason)
                    self.published.skipped[frame.reason] += 1
                    self.published.examples.setdefault(frame.reason, frame.text)
                    self._watch(self.published)
                    continue
                self._send_frame(frame)
                if self.published.frames == self.settings.limit:
                    break
            self._send_late_labels(0)
        finally:
            self._disconnect()
        return self.published

    def _paced(self, frames: Iterator[SourceFrame | Skipped]) -> Iterator[SourceFrame | Skipped]:
        """Take frames no faster than the rate, so that live ones are fresh; messages sent earlier take no time."""
        due = time.monotonic()
        known = self.published.known
        while (frame := next(frames, None)) is not None:
            yield frame
            if self.settings.rate is not None:
                due = time.monotonic() if self.published.known > known else due + 1 / self.settings.rate
                late = time.monotonic() - due
                if late < 0:
                    time.sleep(-late)
                else:
                    due += late
                known = self.published.known

    def _send_frame(self, frame: SourceFrame) -> None:
        label = frame.label if self.settings.labelled else None
        late = self.settings.later
        frame_id = f"{self.producer}/{frame.number}"
        self._send(
            encode_frame(
                write_image(_shrunk(frame.image), self.settings.form),
                task=self.spec.name,
                frame_id=frame_id,
                producer=self.producer,
                seq=self._seq,
                label=label if late is None else None,
                captured_at=frame.captured_at,
                person=frame.person,
                camera=self._place,
            )
        )
        self.published.frames += 1
        if late is None:
            self.published.labels += label is not None
        elif label is not None:
            self._late.append((frame_id, label))
        self._watch(self.published)
        if late is not None:
            self._send_late_labels(late)

    def _send_late_labels(self, keep: int) -> None:
        """Send the labels of all frames but the last ``keep``."""
        while len(self._late) > keep:
            frame_id, label = self._late[0]
            self._send(
                encode_label(label, task=self.spec.name, frame_id=frame_id, producer=self.producer, seq=self._seq)
            )
            self._late.popleft()
            self.published.labels += 1
            self._watch(self.published)

    def _send(self, fields: Fields) -> None:
        """Send a message until it is accepted, and count it."""
        tries = 0
        while True:
            try:
                position = self._connected().append(fields)
                break
            except (BacklogError, RedisFullError, UnreachableError) as error:
                if gone := isinstance(error, UnreachableError):
                    self._disconnect()
                if not tries:
                    _log.warning("waiting: %s", error)
                self._tell(str(error))
                time.sleep(seconds_until_retry(GONE_S if gone else FULL_S, tries))
            tries += 1
        self._seq += 1
        self.published.known += self._began is not None and order(position)[0] < self._began

    def _connected(self) -> Appender:
        """Return the appender; the first time, note the server's time."""
        if self._appender is None:
            address = self._address()
            self._began = self._began or _clock_ms(address)
            self._appender = Appender(address, self._names, max_backlog=self._max_backlog)
        return self._appender

    def _disconnect(self) -> None:
        appender, self._appender = self._appender, None
        if appender is not None:
            appender.close()


def _largest_face(image: Image, detector: Detector) -> Image | None:
    boxes = detector.find(image)
    if len(boxes) == 0:
        return None
    x, y, width, height = map(int, boxes[0])
    face = image[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
    return face if face.size else None


def _clock_ms(address: RedisAddress) -> int:
    """Return the time by Redis's clock, which positions have: this machine's may be fast or slow."""
    try:
        with address.client() as client, translated_errors(address):
            seconds, microseconds = client.time()
    except CiaoError as error:
        if not isinstance(error.__cause__, redis.exceptions.NoPermissionError):
            raise
        return int(time.time() * 1000)  # older ACL rules do not let a producer ask
    return int(seconds) * 1000 + int(microseconds) // 1000


def _shrunk(image: Image) -> Image:
    """Return an image with no side above the limit."""
    height, width = image.shape[:2]
    scale = LONGEST_SIDE / max(height, width)
    if scale >= 1:
        return image
    import cv2

    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
