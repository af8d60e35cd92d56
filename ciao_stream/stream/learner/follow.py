"""Follows a stream: reads each entry, applies it once in effect, and writes the learner down, through every failure.

The checkpoint is the only authority on what was applied. An entry is acknowledged when a checkpoint behind it is on
the disk, and let go of when no checkpoint that is kept could need it. Whatever breaks in between, the follower goes
back to the last entry that it applied, or, in a new process, to its newest checkpoint, and reads on from there. Where
the checkpoints lie changes nothing of what is learned.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.stopping import Stop, Stopped
from ciao_stream.stream.learner.checkpoint import KEPT, Checkpoints, Kept
from ciao_stream.stream.learner.folder import LearnerFolder
from ciao_stream.stream.learner.learner import OnlineLearner
from ciao_stream.stream.learner.ledger import Ledger
from ciao_stream.stream.learner.pace import REFUSED_WINDOW, FollowSettings
from ciao_stream.stream.learner.start_guard import StartGuard
from ciao_stream.stream.learner.undone import Undone
from ciao_stream.stream.log.connection import CursorLostError, RedisFullError, UnreachableError, seconds_until_retry
from ciao_stream.stream.log.events import FrameCame
from ciao_stream.stream.log.feed import Group
from ciao_stream.stream.log.keys import Entry, order
from ciao_stream.stream.log.log import FrameLog
from ciao_stream.stream.log.messages import Origin, TaskHeader, decode, header_of, origin_of
from ciao_stream.stream.log.refusals import BadMessage, Reason

BLOCK_MS = 250
"""Milliseconds for which a read waits for an entry."""

RETRY_S = (0.1, 30.0)
"""Seconds between tries while something is wrong: the first, and the most; doubled in between, with jitter."""

WATCH_S = 1.0
"""Seconds from one look at the follower to the next."""

TRIM_ENTRIES = 1000
"""Entries after which those that nobody needs are let go of, if the time has not come before."""

CHECKPOINT_SHARE = 0.1
"""Most of the time that goes into checkpoints."""

State = Literal["following", "paused", "stopped", "failed"]
"""``paused``: something is wrong outside, and is tried again; nothing is lost meanwhile."""


class TooManyRefusedError(CiaoError):
    """So many messages are bad that something must be wrong with a producer."""


def _ignore(_: Follower) -> None:
    """Look away."""


class Follower:
    """One learner that follows one stream; the folder must be claimed.

    Args:
        learner: A fresh learner, for a folder that has no checkpoint; otherwise the one there is gone on with.
        folder: Where it lives.
        connect: Returns the stream's log; called at the start and whenever the server does not answer.
        settings: How the stream is followed.
        stop: Through which it can be asked to stop.
        watch: Shown the follower about every second.

    Raises:
        CiaoError: A file in the folder is damaged, or the learner stands on another encoder.
    """

    def __init__(
        self,
        learner: OnlineLearner,
        folder: LearnerFolder,
        connect: Callable[[], FrameLog],
        settings: FollowSettings | None = None,
        *,
        stop: Stop | None = None,
        watch: Callable[[Follower], None] = _ignore,
    ) -> None:
        self.folder = folder
        self.settings = settings or FollowSettings()
        self.learner = learner
        self.ledger = Ledger()
        self.checkpoints = Checkpoints(folder.checkpoints)
        self.saved: Kept | None = None
        self.state: State = "following"
        self.trouble = ""
        self.trouble_since = 0.0
        self.log: FrameLog | None = None
        self.frames = 0
        self._news = False
        restored = self.checkpoints.load(learner.encoder)
        if restored is not None:
            self.learner, self.saved = restored.learner, restored.kept
            self.ledger = Ledger.from_json(restored.notes)
            for text in restored.incidents:
                self._note(text)
        self._connect = connect
        self._stop = stop or Stop()
        self._watch = watch
        self._guard = StartGuard(folder.starts)
        self._undone = Undone.read(folder.undone)
        self._tries = 0
        self._unsaved: list[str] = []
        self._judged: deque[bool] = deque(maxlen=REFUSED_WINDOW)
        self._untrimmed = 0
        self._nothing_waits = False
        self._last_entry = self._last_save = self._last_trim = time.monotonic()
        self._next_save = self._next_watch = 0.0

    def run(self) -> None:
        """Follow the stream until there is a reason to stop, and end with a checkpoint.

        Raises:
            TooManyRefusedError: The share of bad messages is above the limit.
            CiaoError: The server refuses us; or the last checkpoint could not be written, so that what came after
                the one before will be applied again.
        """
        try:
            self._follow()
        except Stopped:
            pass
        except CiaoError as error:
            self._end("failed", str(error))
            raise
        except Exception as error:  # perhaps amid an entry: what is in memory is not to be written down
            self.state, self.trouble = "failed", f"{type(error).__name__}: {error}"
            self._disconnect()
            self._watch(self)
            raise
        self._end("stopped")

    def lag(self) -> int | None:
        """Return how many entries are to come, about how many amid a backlog; None where nobody can tell now."""
        if self.log is None or self.state != "following":
            return None
        try:
            with self._stop.safe():
                lag = self.log.lag()
                return max(0, self.log.length() - self.ledger.in_stream()) if lag is None else lag
        except UnreachableError:
            return None

    def groups_beside(self) -> list[Group] | None:
        """Return the groups of others, such as predictors, that read the stream; None where nobody can tell now."""
        if self.log is None or self.state != "following":
            return None
        try:
            with self._stop.safe():
                return self.log.groups_beside()
        except UnreachableError:
            return None

    def _follow(self) -> None:
        self._persist(lambda: self._guard.begin(self.learner.position))
        if self.saved is None:
            self._save()
        self._last_entry = time.monotonic()
        with self._guard.traced():
            while not self._done():
                self._try(self._turn)
            if self.log is not None and self._unsaved:
                self._try(self._checkpoint)

    def _try(self, step: Callable[[FrameLog], None]) -> None:
        """Do something with the stream; where that cannot be done now, wait."""
        try:
            step(self._connected())
        except (UnreachableError, CursorLostError, RedisFullError) as error:
            if isinstance(error, CursorLostError):
                self._note(str(error))
            self._disconnect()
            self._pause(str(error))

    def _turn(self, log: FrameLog) -> None:
        """Read some entries and apply them."""
        with self._stop.safe():
            entries = log.read(self.settings.checkpoint_entries, BLOCK_MS)
        self._well()
        self._nothing_waits = not entries
        for entry in entries:
            self._take(log, entry)
            if self._due():
                self._checkpoint(log)
            self._show()
            if self._done():
                return
        if self._due():
            self._checkpoint(log)
        if time.monotonic() - self._last_trim > self.settings.trim_s or self._untrimmed >= TRIM_ENTRIES:
            self._trim(log, self._needed())
        self._show()

    def _take(self, log: FrameLog, entry: Entry) -> None:
        """Do with an entry what is to be done with it; where this cannot be done now, nothing was done."""
        position, fields = entry.position, entry.fields
        origin = None
        try:
            header = header_of(fields)
            origin = Origin(header.producer, header.seq)
            repeated = self.ledger.tracker.judge(*origin).repeated
            undone = position in self._undone and not isinstance(header, TaskHeader)
            if repeated or undone:
                self.ledger.passed_over += not repeated
                self.learner.skip(position)
            else:
                self._apply(entry)
            refused = False
        except CiaoError as error:
            self._refuse(log, entry, error.reason if isinstance(error, BadMessage) else Reason.BAD_TASK, str(error))
            refused = True
        if origin is not None:
            self.ledger.heard(origin)
        else:
            self.ledger.heard_damaged(origin_of(fields))
        self.ledger.read(sum(map(len, fields.values())))
        self._unsaved.append(position)
        self._untrimmed += 1
        self._last_entry = time.monotonic()
        self._judged.append(refused)
        self._require_good_messages()

    def _apply(self, entry: Entry) -> None:
        if self._guard.condemned(entry.position):
            raise BadMessage(Reason.CRASH, "applying it ended the process, again and again")
        with self._single_step(entry.position):
            event = decode(entry.position, entry.fields, self.learner.tasks)
            self.learner.apply(event)
        if isinstance(event, FrameCame):
            self.frames += 1
            self.ledger.frames += 1

    @contextmanager
    def _single_step(self, position: str) -> Iterator[None]:
        """Have it on disk, where there is reason to fear for the process, what it is at when it ends in the block."""
        if not self._guard.single_step:
            yield
            return
        self._persist(lambda: self._guard.mark(position))
        try:
            yield
        except CiaoError:
            self._survived()
            raise
        self._survived()

    def _survived(self) -> None:
        with suppress(CiaoError, OSError):  # on a full disk the next mark will say it
            self._guard.unmark()

    def _refuse(self, log: FrameLog, entry: Entry, reason: Reason, text: str) -> None:
        """Keep a bad message as a dead letter; a full server gets room first."""
        try:
            with self._stop.safe():
                log.dead_letter(entry.position, reason.value, text, entry.fields)
        except RedisFullError as error:
            self._checkpoint(log)
            self._trim(log, self.learner.position)
            try:
                with self._stop.safe():
                    log.dead_letter(entry.position, reason.value, text, entry.fields)
            except RedisFullError:
                self._note(f"the dead letter of {entry.position} could not be kept: {error}")
        self.learner.skip(entry.position)
        self.ledger.refuse(reason)

    def _require_good_messages(self) -> None:
        refused, limit = sum(self._judged), self.settings.max_refused
        if len(self._judged) == REFUSED_WINDOW and refused > limit * REFUSED_WINDOW:
            reasons = ", ".join(f"{reason} {n}" for reason, n in self.ledger.refused.most_common())
            raise TooManyRefusedError(
                f"{refused} of the last {REFUSED_WINDOW} messages were refused (in all: {reasons}): see the command "
                "`dead`, mend the producer, or go on with --max-refused 1"
            )

    def _note(self, incident: str) -> None:
        """Write down what happened; it is to be in the next checkpoint, also if nothing else is new."""
        self._news |= self.ledger.incident(incident)

    def _due(self) -> bool:
        now = time.monotonic()
        long_ago = now - self._last_save >= self.settings.checkpoint_s
        enough = len(self._unsaved) >= self.settings.checkpoint_entries
        return bool(self._unsaved or self._news) and (enough or long_ago) and now >= self._next_save

    def _checkpoint(self, log: FrameLog) -> None:
        """Write the learner down, then acknowledge what it has applied."""
        self._save()
        applied, self._unsaved = self._unsaved, []
        with self._stop.safe():
            log.ack(applied)

    def _save(self) -> None:
        """Write the learner down, however long it takes until there is room."""
        self._persist(self._write)

    def _write(self) -> None:
        began = time.monotonic()
        self.ledger.mark(self.learner.position, [kept.position for kept in self.checkpoints.kept()])
        self.saved = self.checkpoints.save(self.learner, self.ledger.to_json())
        self._news = False
        self._last_save = time.monotonic()
        self._next_save = self._last_save + (self._last_save - began) / CHECKPOINT_SHARE

    def _needed(self) -> str:
        """Return the position from which on entries are kept."""
        positions = [kept.position for kept in self.checkpoints.kept()]
        reach = self.ledger.within(positions, self.settings.history, self.settings.history_mib << 20)
        return min(reach or positions[-1], positions[-KEPT:][0], key=order)

    def _trim(self, log: FrameLog, before: str) -> None:
        with self._stop.safe():
            log.trim(before)
        self.ledger.trimmed(before)
        self._untrimmed, self._last_trim = 0, time.monotonic()

    def _connected(self) -> FrameLog:
        """Return the log, set to the last entry that was applied."""
        if self.log is None:
            with self._stop.safe():
                log = self._connect()
                self.log = log
                for incident in log.resync(self.learner.position):
                    self._note(f"{incident.trouble.value}: {incident.text}")
        return self.log

    def _disconnect(self) -> None:
        log, self.log = self.log, None
        self._nothing_waits = False
        if log is not None:
            log.close()

    def _persist(self, write: Callable[[], None]) -> None:
        """Write a file; where the disk does not take it, learn nothing more until it does."""
        while True:
            try:
                write()
                break
            except (CiaoError, OSError) as error:
                self._pause(str(error))
        self._well()

    def _pause(self, trouble: str) -> None:
        """Wait before the next try."""
        if self.state != "paused":
            self.trouble_since = time.time()
        self.state, self.trouble = "paused", trouble
        end = time.monotonic() + seconds_until_retry(RETRY_S, self._tries)
        self._tries += 1
        while (left := end - time.monotonic()) > 0:
            self._show()
            self._stop.sleep(min(left, WATCH_S))

    def _well(self) -> None:
        if self.state == "paused":
            self._last_entry = time.monotonic()
        self.state, self.trouble, self._tries = "following", "", 0

    def _done(self) -> bool:
        settings = self.settings
        if settings.max_frames is not None and self.frames >= settings.max_frames:
            return True
        idle = self._nothing_waits and time.monotonic() - self._last_entry >= (settings.until_idle or 0)
        return self._stop.requested or (settings.until_idle is not None and idle)

    def _end(self, state: State, trouble: str = "") -> None:
        """Write down what is not yet, in one try.

        Raises:
            CiaoError: It cannot be written.
        """
        self.state, self.trouble = state, trouble
        try:
            if self._unsaved or self._news:
                self._write()
        except (CiaoError, OSError) as error:
            self.state, self.trouble = "failed", str(error)
            raise CiaoError(f"{error}; {len(self._unsaved)} entries will be applied again at the next start") from error
        finally:
            self._guard.end()
            self._disconnect()
            self._watch(self)

    def _show(self) -> None:
        if time.monotonic() >= self._next_watch:
            self._next_watch = time.monotonic() + WATCH_S
            self._watch(self)
