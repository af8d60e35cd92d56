"""Sends a source's pictures to the stream: each once and in order, through full streams, lost servers and kill -9.

A message that was not accepted is sent again until it is, and none is sent before the last one was accepted: no number
is ever skipped. A publisher that was killed is started again from the beginning: what the stream took before, it does
not take again.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import redis

from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import Image
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
from ciao_stream.stream.sources import Skipped, SourceFrame, Tell

LONGEST_SIDE = 288
"""Pixels. Larger images are shrunk to this, whose PNG fits into a message whatever it shows; encoders take less."""

FULL_S = (0.02, 1.0)
"""Seconds between tries while too much waits already: the first, and the most; doubled in between, with jitter."""

GONE_S = (0.1, 30.0)
"""Seconds between tries while the server does not answer."""

Form = Literal["jpeg", "png"]


@dataclass(frozen=True)
class PublishSettings:
    """What is sent, and how fast.

    Args:
        labelled: Whether labels are sent.
        later: Frames after which a frame's label follows it, >= 1; None: it goes with its frame.
        form: How images are encoded; ``png`` loses nothing.
        limit: Most frames to send, >= 1; None: all.
        rate: Most frames per second, > 0; None: as fast as the stream takes them.

    Raises:
        CiaoError: A value is out of range.
    """

    labelled: bool = True
    later: int | None = None
    form: Form = "png"
    limit: int | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        for name, number in (("later", self.later), ("limit", self.limit)):
            if number is not None and number < 1:
                raise CiaoError(f"{name}: expected a whole number >= 1 but got {number}")
        if self.rate is not None and not 0 < self.rate < float("inf"):
            raise CiaoError(f"rate: expected a number of frames per second > 0 but got {self.rate}")
        if self.later is not None and not self.labelled:
            raise CiaoError("labels cannot both be left out and come later")

    def decides(self) -> dict[str, Any]:
        """Return what decides the messages and their order.

        Speed does not. Nor does the limit, which only ends them sooner, unless late labels follow the last frame.
        """
        decides = asdict(self)
        del decides["rate"]
        if self.later is None:
            del decides["limit"]
        return decides


@dataclass
class Published:
    """What has been sent and accepted so far.

    Args:
        frames: Frames.
        labels: Labels, with their frames or later.
        known: Messages that an earlier run had sent already, declarations of tasks among them.
        skipped: Pictures that were left out, by reason.
        examples: What was wrong with the first one of each reason.
    """

    frames: int = 0
    labels: int = 0
    known: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)


Watch = Callable[[Published], None]
"""Told how far it is."""


def _ignore(_: object) -> None:
    """Look away."""


class Publisher:
    """Publishes one source once.

    Args:
        address: Returns where the server is; called at the start and whenever the server does not answer.
        producer: See :func:`ciao_stream.stream.publish.producers.producer_name`.
        spec: The task, which is declared first.
        settings: What is sent, and how fast.
        names: The stream's keys.
        place: What stands as ``camera`` in the frames' headers.
        max_backlog: Most entries that the learner, or another group, may still have to take.
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

    def run(self, pictures: Iterable[SourceFrame | Skipped], tell: Tell = _ignore, watch: Watch = _ignore) -> Published:
        """Declare the task, and send the pictures, from the first one on.

        Args:
            pictures: What :meth:`ciao_stream.stream.sources.Source.frames` yields.
            tell: Told what is waited for.
            watch: Called after every picture and every label.

        Returns:
            :attr:`published`, which is up to date at any time, also after an exception.

        Raises:
            BadMessage: The stream took something else under the same name before.
            CiaoError: The source fails, or the server refuses us.
        """
        self._tell, self._watch = tell, watch
        try:
            self._send(encode_task(self.spec, producer=self.producer, seq=self._seq))
            for picture in self._paced(iter(pictures)):
                if isinstance(picture, Skipped):
                    self.published.skipped[picture.reason] += 1
                    self.published.examples.setdefault(picture.reason, picture.text)
                    self._watch(self.published)
                    continue
                self._send_frame(picture)
                if self.published.frames == self.settings.limit:
                    break
            self._send_late_labels(0)
        finally:
            self._disconnect()
        return self.published

    def _paced(self, pictures: Iterator[SourceFrame | Skipped]) -> Iterator[SourceFrame | Skipped]:
        """Take pictures no faster than the rate, so that a live one is fresh; what is known already takes no time."""
        due = time.monotonic()
        known = self.published.known
        while (picture := next(pictures, None)) is not None:
            yield picture
            if self.settings.rate is not None:
                due = time.monotonic() if self.published.known > known else due + 1 / self.settings.rate
                late = time.monotonic() - due
                if late < 0:
                    time.sleep(-late)
                else:
                    due += late
                known = self.published.known

    def _send_frame(self, picture: SourceFrame) -> None:
        label = picture.label if self.settings.labelled else None
        late = self.settings.later
        frame_id = f"{self.producer}/{picture.number}"
        self._send(
            encode_frame(
                write_image(_shrunk(picture.image), self.settings.form),
                task=self.spec.name,
                frame_id=frame_id,
                producer=self.producer,
                seq=self._seq,
                label=label if late is None else None,
                captured_at=picture.captured_at,
                person=picture.person,
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
        """Send the labels of all frames but the last few."""
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
            except (BacklogError, RedisFullError) as error:
                wait = seconds_until_retry(FULL_S, tries)
                self._tell(str(error))
            except UnreachableError as error:
                self._disconnect()
                wait = seconds_until_retry(GONE_S, tries)
                self._tell(str(error))
            tries += 1
            time.sleep(wait)
        self._seq += 1
        self.published.known += self._began is not None and order(position)[0] < self._began

    def _connected(self) -> Appender:
        """Return the way into the stream; the first time, take down when that was."""
        if self._appender is None:
            address = self._address()
            self._began = self._began or _clock_ms(address)
            self._appender = Appender(address, self._names, max_backlog=self._max_backlog)
        return self._appender

    def _disconnect(self) -> None:
        appender, self._appender = self._appender, None
        if appender is not None:
            appender.close()


def _clock_ms(address: RedisAddress) -> int:
    """Return the time by Redis's clock, which positions have: this machine's may be fast or slow."""
    client = address.client()
    try:
        with translated_errors(address):
            seconds, microseconds = client.time()
    except CiaoError as error:
        if not isinstance(error.__cause__, redis.exceptions.NoPermissionError):
            raise
        return int(time.time() * 1000)  # rules of before did not let a producer ask
    finally:
        client.close()
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
