"""Messages of a whole stream, and processes that publish and learn it, which can be killed and restarted."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.stopping import Stop
from ciao_stream.stream.learner import follow
from ciao_stream.stream.learner.checkpoint import Checkpoints, Restored
from ciao_stream.stream.learner.folder import LearnerFolder
from ciao_stream.stream.learner.follow import Follower, FollowSettings
from ciao_stream.stream.learner.learner import OnlineLearner
from ciao_stream.stream.learner.settings import StreamSettings
from ciao_stream.stream.learner.status import StatusWriter
from ciao_stream.stream.log.append import Appender, BacklogError
from ciao_stream.stream.log.connection import RedisAddress, RedisFullError, UnreachableError
from ciao_stream.stream.log.events import Event, FrameCame, TaskDeclared
from ciao_stream.stream.log.feed import FrameFeed
from ciao_stream.stream.log.images import write_image
from ciao_stream.stream.log.keys import Entry, StreamNames, entries_of
from ciao_stream.stream.log.log import FrameLog
from ciao_stream.stream.log.messages import Fields, decode, encode_frame, encode_label, encode_task
from ciao_stream.stream.predict.predictor import Predictor
from ciao_stream.stream.predict.worlds import CheckpointWorlds, UpToDate
from ciao_stream.worlds.settings import Settings
from tests.helpers import stream_events, tiny
from tests.helpers.sent_messages import PATIENCE_S

CONTEXT = multiprocessing.get_context("forkserver")
PRELOAD = ["ciao_stream.stream.learner.follow", "torch._dynamo", "PIL.PngImagePlugin", "cv2"]
"""What a learner imports, torch's optimisers included."""

TIMEOUT_S = 1.0


def learner() -> OnlineLearner:
    """A fresh learner with the default mask and head."""
    return stream_events.learner(StreamSettings(), Settings())


def wire(event: Event, seq: int, producer: str = "camera") -> Fields:
    """The message of an event."""
    if isinstance(event, TaskDeclared):
        return encode_task(event.spec, producer=producer, seq=seq)
    about = {"task": event.task, "frame_id": event.frame_id, "producer": producer, "seq": seq}
    if isinstance(event, FrameCame):
        return encode_frame(write_image(event.image), label=event.label, **about)
    return encode_label(event.label, **about)


def spoiled(fields: Fields, number: int) -> Fields:
    """The message with one flipped bit, in its image if it has one."""
    field = b"image" if b"image" in fields else b"sha256"
    raw = bytearray(fields[field])
    raw[number % len(raw)] ^= 1 << number % 7
    return {**fields, field: bytes(raw)}


def messages(n: int, seed: int = 0, bad_every: int | None = None) -> Iterator[Fields]:
    """Frames, late labels and corrections of two tasks, numbered by one producer; some are damaged."""
    events = stream_events.Stream(seed).mixed([tiny.SPECS["categorical"], tiny.SPECS["multilabel"]], n - 2)
    for seq, event in enumerate(events):
        fields = wire(event, seq)
        yield spoiled(fields, seq) if bad_every and seq % bad_every == bad_every - 1 else fields


def append_all(address: RedisAddress, names: StreamNames, fields: Iterator[Fields]) -> list[str]:
    """Append messages to the stream unchecked, damaged ones too."""
    with contextlib.closing(address.client()) as client:
        return [client.xadd(names.stream, one).decode() for one in fields]


def uninterrupted(entries: list[Entry]) -> tuple[OnlineLearner, list[str]]:
    """Apply a log in this process, without Redis; return the learner and the positions that it refused."""
    online, refused = learner(), []
    for entry in entries:
        try:
            online.apply(decode(entry.position, entry.fields, online.tasks))
        except CiaoError:
            online.skip(entry.position)
            refused.append(entry.position)
    return online, refused


def newest(folder: Path) -> Restored:
    """The newest checkpoint of a learner."""
    restored = Checkpoints(LearnerFolder(folder).checkpoints).load(stream_events.shared())
    assert restored is not None
    return restored


class AnyAppender(Appender):
    """Appends damaged messages too, as a foreign producer could; each once, by its number."""

    def append_anything(self, fields: Fields, number: int) -> None:
        self._add(f"number:{number}", str(number), fields)


class TrustingLog(FrameLog):
    """What the learner must not do: acknowledge on read, and resume at the group's position."""

    def resync(self, watermark: str) -> tuple[()]:
        with contextlib.suppress(Exception):
            self._client.xgroup_create(self.names.stream, self.names.group, "0-0")
        self._cursor = watermark
        return ()

    def read(self, count: int, block_ms: int) -> list[Entry]:
        reply = self._reader.xreadgroup(self.names.group, "c", {self.names.stream: ">"}, count=count, block=block_ms)
        entries = entries_of(reply)
        self.ack([entry.position for entry in entries])
        return entries


def learn(
    folder: Path,
    address: RedisAddress,
    names: StreamNames,
    settings: FollowSettings,
    log: Callable[..., FrameLog] = FrameLog,
    poison: bytes | None = None,
    make: Callable[[], OnlineLearner] = learner,
) -> None:
    """Follow a stream as the command does; a header with ``poison`` aborts the process, as native code can."""
    if poison is not None:

        def decode_natively(position: str, fields: Fields, tasks: Any) -> Event:
            if poison in fields.get(b"header", b""):
                os.abort()
            return decode(position, fields, tasks)

        follow.decode = decode_natively
    place, stop = LearnerFolder(folder), Stop()
    with place.claimed(), stop.on_signals():
        watch = StatusWriter(place.status, str(address))
        connect = functools.partial(log, address, names, timeout_s=TIMEOUT_S)
        Follower(make(), place, connect, settings, stop=stop, watch=watch).run()


def publish(address: RedisAddress, names: StreamNames, options: dict[str, Any], allowed: Any) -> None:
    """Send the first ``allowed`` messages, each until it is accepted."""

    def as_allowed() -> Iterator[Fields]:
        for number, fields in enumerate(messages(**options)):
            while number >= allowed.value:
                time.sleep(0.01)
            yield fields

    send(address, names, as_allowed())


def send(address: RedisAddress, names: StreamNames, sent: Iterable[Fields], **options: Any) -> None:
    """Send messages, each until it is accepted."""
    appender = AnyAppender(address, names, **{"timeout_s": TIMEOUT_S, "max_backlog": 2000, **options})
    for number, fields in enumerate(sent):
        while True:
            try:
                appender.append_anything(fields, number)
                break
            except (BacklogError, RedisFullError, UnreachableError):
                time.sleep(0.05)


def answer(folder: Path, address: RedisAddress, names: StreamNames, group: str, claim_s: float) -> None:
    """Predict frames as a member of a group, with the worlds of a learner on the tiny encoder."""
    encoder = stream_events.shared()
    feed = FrameFeed(lambda: address, names, start="0-0", group=group, claim_s=claim_s, timeout_s=TIMEOUT_S)
    Predictor(encoder, UpToDate(CheckpointWorlds(folder, encoder)), feed).run()


class Supervised:
    """A process restarted, by a supervisor that has everything loaded, until it exits with code 0."""

    def __init__(self, body: Callable[..., None], *args: Any) -> None:
        CONTEXT.set_forkserver_preload(PRELOAD)
        self._reports, sender = CONTEXT.Pipe(duplex=False)
        self._process = CONTEXT.Process(target=_supervise, args=(sender, body, args))
        self._process.start()
        sender.close()
        self._pid: int | None = None
        self.starts = 0
        self.ends: list[int] = []

    def pid(self) -> int:
        """Wait for a running process and return its id."""
        self._read_reports(0)
        while self._pid is None:
            assert self._read_reports(PATIENCE_S), "no process was started"
        return self._pid

    def signal(self, number: int) -> None:
        """Send a signal to it."""
        os.kill(self.pid(), number)

    def kill(self) -> None:
        """Kill it with ``kill -9`` and wait until it has ended."""
        ends = len(self.ends)
        self.signal(signal.SIGKILL)
        while len(self.ends) == ends:
            assert self._read_reports(PATIENCE_S)

    def finished(self, seconds: float = PATIENCE_S) -> bool:
        """Wait until it exits with code 0; return whether it did."""
        end = time.monotonic() + seconds
        while not (self.ends and self.ends[-1] == 0):
            if not self._read_reports(max(0.0, end - time.monotonic())):
                return False
        return True

    def _read_reports(self, seconds: float) -> bool:
        """Read the supervisor's reports; return whether there were any."""
        heard = False
        with contextlib.suppress(EOFError):
            while self._reports.poll(0 if heard else seconds):
                what, number = self._reports.recv()
                heard = True
                if what == "started":
                    self._pid, self.starts = number, self.starts + 1
                else:
                    self._pid = None
                    self.ends.append(number)
        return heard

    def __enter__(self) -> Supervised:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
        self._reports.close()
        self._process.close()


def _supervise(sender: Any, body: Callable[..., None], args: tuple[Any, ...]) -> None:
    learner().apply(next(iter(stream_events.Stream().mixed([tiny.SPECS["categorical"]], 1))))  # the first event is slow
    code = -1
    while code != 0:
        pid = os.fork()
        if pid == 0:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # die with the supervisor
            try:
                body(*args)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        sender.send(("started", pid))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        sender.send(("ended", code))


def slowdown() -> float:
    """How many times longer than on an idle core work takes now, >= 1."""
    began, used = time.monotonic(), time.process_time()
    while time.process_time() - used < 0.1:
        pass
    return max(1.0, (time.monotonic() - began) / 0.1)
