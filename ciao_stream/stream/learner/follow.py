"""Follows a stream: reads each entry, applies it once in effect, and saves checkpoints, through every failure.

The checkpoint is the only authority on what was applied. An entry is acknowledged after a checkpoint that includes it
is on disk, and trimmed from the stream when no checkpoint could need it. After a failure the follower returns to the
last entry that it applied, or in a new process to its newest checkpoint, and reads on from there. When checkpoints are
written has no influence on what is learned.

What happens is logged: start or resume, checkpoints and stop (INFO); pauses, incidents, refused and lost messages
(WARNING); failures (ERROR); each applied frame by its id (DEBUG). No log line has a label or a name of a person.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Literal, TypeVar

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.stopping import Stop, Stopped
from ciao_stream.stream.learner.checkpoint import KEPT, Checkpoints, Kept
from ciao_stream.stream.learner.counters import Counters
from ciao_stream.stream.learner.folder import LearnerFolder
from ciao_stream.stream.learner.learner import OnlineLearner
from ciao_stream.stream.learner.settings import REFUSED_WINDOW, FollowSettings
from ciao_stream.stream.learner.start_guard import StartGuard
from ciao_stream.stream.learner.undo import Undone
from ciao_stream.stream.log.connection import CursorLostError, RedisFullError, UnreachableError, seconds_until_retry
from ciao_stream.stream.log.events import FrameCame
from ciao_stream.stream.log.feed import Group
from ciao_stream.stream.log.keys import Entry, order
from ciao_stream.stream.log.log import FrameLog
from ciao_stream.stream.log.messages import Origin, TaskHeader, decode, header_of, origin_of
from ciao_stream.stream.log.refusals import BadMessage, Reason

_log = logging.getLogger(__name__)

BLOCK_MS = 250
"""Milliseconds for which a read waits for an entry."""

RETRY_S = (0.1, 30.0)
"""Seconds between attempts after a failure: initial and maximum; doubled in between, with jitter."""

WATCH_S = 1.0
"""Seconds between calls of ``watch``."""

TRIM_ENTRIES = 1000
"""Entries after which the stream is trimmed, if ``trim_s`` has not passed before."""

CHECKPOINT_SHARE = 0.1
"""Maximum share of the time spent on checkpoints."""

_T = TypeVar("_T")
State = Literal["following", "paused", "stopped", "failed"]
"""``paused``: something outside fails and is retried; nothing is lost meanwhile."""


class TooManyRefusedError(CiaoError):
    """So many messages were refused that a producer must be faulty."""


def _ignore(_: Follower) -> None:
    """Do nothing (default callback)."""


class Follower:
    """One learner that follows one stream; the folder must be claimed.

    Args:
        learner: A fresh learner, used if the folder has no checkpoint; otherwise the newest checkpoint is resumed.
        folder: The learner's folder.
        connect: Returns the stream's log; called at the start and after each loss of the connection.
        settings: How the stream is followed.
        stop: Requests to stop.
        watch: Called with the follower about every second.

    Raises:
        CiaoError: A file in the folder is damaged, or the learner was saved with another encoder.
    """

    def __init__(
        self,
        learner: OnlineLearner,
        folder: LearnerFolder,
        connect: Callable[[], FrameLog],
        settings: FollowSettings | None = None,
        *,
        stop: Stop | None = None,
        watch: Callable[[Follower], object] = _ignore,
    ) -> None:
        self.folder = folder
        self.settings = settings or FollowSettings()
        self.learner = learner
        self.counters = Counters()
        self.checkpoints = Checkpoints(folder.checkpoints)
        self.saved: Kept | None = None
        self.state: State = "following"
        self.trouble = ""
        self.trouble_since = 0.0
        self.log: FrameLog | None = None
        self.frames, self._news = 0, False
        restored = self.checkpoints.load(learner.encoder)
        if restored is not None:
            self.learner, self.saved = restored.learner, restored.kept
            self.counters = Counters.from_json(restored.notes)
            for text in restored.incidents:
                self._note(text)
        self._connect = connect
        self._stop = stop or Stop()
        self._watch = watch
        self._guard = StartGuard(folder.starts)
        self._undone = Undone.read(folder.undone)
        self._tries = 0
        self._unsaved: list[str] = []
        self._refused: deque[bool] = deque(maxlen=REFUSED_WINDOW)
        self._untrimmed = 0
        self._nothing_waits = False
        self._last_entry = self._last_save = self._last_trim = time.monotonic()
        self._next_save = self._next_watch = 0.0

    def run(self) -> None:
        """Follow the stream until there is a reason to stop, then save a checkpoint.

        Raises:
            TooManyRefusedError: The share of refused messages is above the limit.
            CiaoError: The server denies access; or the last checkpoint could not be written, so that the entries since
                the previous one will be applied again.
        """
        if self.saved is None:
            _log.info("%s: started", self.folder.path)
        else:
            _log.info("%s: resumed at %s, checkpoint %d", self.folder.path, self.saved.position, self.saved.number)
        try:
            self._follow()
        except Stopped:
            pass
        except CiaoError as error:
            self._end("failed", str(error))
            raise
        except Exception as error:  # perhaps while applying an entry: the state in memory must not be saved
            self.state, self.trouble = "failed", f"{type(error).__name__}: {error}"
            _log.error("%s: failed at %s: %s", self.folder.path, self.learner.position, type(error).__name__)
            self._disconnect()
            self._watch(self)
            raise
        self._end("stopped")

    def summary(self) -> str:
        """Return one line about what was learned, refused and lost."""
        counters, refused = self.counters, self.counters.refused.total()
        parts = [f"processed {self.frames:,} frames ({counters.frames:,} in total) up to {self.learner.position}"]
        if refused:
            parts.append(f"{refused:,} messages refused")
        if counters.tracker.lost:
            parts.append(f"{counters.tracker.lost:,} messages lost in transit")
        return f"{'; '.join(parts)}; saved in {self.folder.path}"

    def lag(self) -> int | None:
        """Return the number of entries still to read (approximate during a backlog); None if it is unknown."""

        def ask(log: FrameLog) -> int:
            lag = log.lag()
            return max(0, log.length() - self.counters.in_stream()) if lag is None else lag

        return self._ask(ask)

    def other_groups(self) -> list[Group] | None:
        """Return the other consumer groups of the stream, such as predictors; None if they are unknown."""
        return self._ask(lambda log: log.other_groups())

    def _ask(self, question: Callable[[FrameLog], _T]) -> _T | None:
        if self.log is None or self.state != "following":
            return None
        try:
            with self._stop.safe():
                return question(self.log)
        except UnreachableError:
            return None

    def _follow(self) -> None:
        self._persist(lambda: self._guard.begin(self.learner.position))
        if self.saved is None:
            self._persist(self._write)
        self._last_entry = time.monotonic()
        with self._guard.traced():
            while not self._done():
                self._try(self._turn)
            if self.log is not None and self._unsaved:
                self._try(self._checkpoint)

    def _try(self, step: Callable[[FrameLog], None]) -> None:
        """Use the stream; on failure, disconnect and wait."""
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
        """Apply, skip or refuse an entry; if server or disk fail, nothing has changed."""
        position, fields = entry.position, entry.fields
        origin = None
        try:
            header = header_of(fields)
            origin = Origin(header.producer, header.seq)
            repeated = self.counters.tracker.judge(*origin).repeated
            undone = position in self._undone and not isinstance(header, TaskHeader)
            if repeated or undone:
                self.counters.passed_over += not repeated
                self.learner.skip(position)
            else:
                self._apply(entry)
            self._refused.append(False)
        except CiaoError as error:
            self._refuse(log, entry, error.reason if isinstance(error, BadMessage) else Reason.BAD_TASK, str(error))
            self._refused.append(True)
        if origin is None:
            self.counters.received_damaged(origin_of(fields))
        elif lost := self.counters.received(origin):
            _log.warning("%s: %d messages lost before %s", self.folder.path, lost, position)
        self.counters.read(sum(map(len, fields.values())))
        self._unsaved.append(position)
        self._untrimmed += 1
        self._last_entry = time.monotonic()
        self._require_good_messages()

    def _apply(self, entry: Entry) -> None:
        if self._guard.condemned(entry.position):
            raise BadMessage(Reason.CRASH, "applying it crashed the process repeatedly")
        with self._guard.applying(entry.position, self._persist):
            event = decode(entry.position, entry.fields, self.learner.tasks)
            self.learner.apply(event)
        if isinstance(event, FrameCame):
            self.frames += 1
            self.counters.frames += 1
            _log.debug("%s: applied frame %s at %s", self.folder.path, event.frame_id, event.position)

    def _refuse(self, log: FrameLog, entry: Entry, reason: Reason, text: str) -> None:
        """Keep a bad message as a dead letter; if the server is full, trim the stream first."""
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
        self.counters.refuse(reason)
        _log.warning("%s: refused entry %s: %s", self.folder.path, entry.position, reason.value)

    def _require_good_messages(self) -> None:
        refused, limit = sum(self._refused), self.settings.max_refused
        if len(self._refused) == REFUSED_WINDOW and refused > limit * REFUSED_WINDOW:
            reasons = ", ".join(f"{reason} {n}" for reason, n in self.counters.refused.most_common())
            raise TooManyRefusedError(
                f"{refused} of the last {REFUSED_WINDOW} messages were refused (in all: {reasons}): list them with "
                "the command `dead`, fix the producer, or resume with --max-refused 1"
            )

    def _note(self, incident: str) -> None:
        """Record an incident; if it is new, the next checkpoint is due even if nothing was learned."""
        if self.counters.incident(incident):
            self._news = True
            _log.warning("%s: %s", self.folder.path, incident)

    def _due(self) -> bool:
        now = time.monotonic()
        long_ago = now - self._last_save >= self.settings.checkpoint_s
        enough = len(self._unsaved) >= self.settings.checkpoint_entries
        return bool(self._unsaved or self._news) and (enough or long_ago) and now >= self._next_save

    def _checkpoint(self, log: FrameLog) -> None:
        """Save a checkpoint, then acknowledge the entries that it includes."""
        self._persist(self._write)
        applied, self._unsaved = self._unsaved, []
        with self._stop.safe():
            log.ack(applied)

    def _write(self) -> None:
        began = time.monotonic()
        self.counters.mark(self.learner.position, [kept.position for kept in self.checkpoints.kept()])
        self.saved = self.checkpoints.save(self.learner, self.counters.to_json())
        _log.info("%s: wrote checkpoint %d at %s", self.folder.path, self.saved.number, self.saved.position)
        self._news = False
        self._last_save = time.monotonic()
        self._next_save = self._last_save + (self._last_save - began) / CHECKPOINT_SHARE

    def _needed(self) -> str:
        """Return the position before which entries can be trimmed."""
        positions = [kept.position for kept in self.checkpoints.kept()]
        reach = self.counters.within(positions, self.settings.history, self.settings.history_mib << 20)
        return min(reach or positions[-1], positions[-KEPT:][0], key=order)

    def _trim(self, log: FrameLog, before: str) -> None:
        with self._stop.safe():
            log.trim(before)
        self.counters.trimmed(before)
        self._untrimmed, self._last_trim = 0, time.monotonic()

    def _connected(self) -> FrameLog:
        """Return the log, positioned after the last entry that was applied."""
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
        """Write a file; while that fails, wait and learn nothing."""
        while True:
            try:
                write()
                break
            except (CiaoError, OSError) as error:
                self._pause(str(error))
        self._well()

    def _pause(self, trouble: str) -> None:
        """Wait before the next attempt."""
        if self.state != "paused":
            self.trouble_since = time.time()
            _log.warning("%s: paused at %s: %s", self.folder.path, self.learner.position, trouble)
        self.state, self.trouble = "paused", trouble
        end = time.monotonic() + seconds_until_retry(RETRY_S, self._tries)
        self._tries += 1
        while (left := end - time.monotonic()) > 0:
            self._show()
            self._stop.sleep(min(left, WATCH_S))

    def _well(self) -> None:
        if self.state == "paused":
            self._last_entry = time.monotonic()
            _log.info("%s: following again at %s", self.folder.path, self.learner.position)
        self.state, self.trouble, self._tries = "following", "", 0

    def _done(self) -> bool:
        settings = self.settings
        if settings.max_frames is not None and self.frames >= settings.max_frames:
            return True
        idle = self._nothing_waits and time.monotonic() - self._last_entry >= (settings.until_idle or 0)
        return self._stop.requested or (settings.until_idle is not None and idle)

    def _end(self, state: State, trouble: str = "") -> None:
        """Save a last checkpoint if anything is new, in one attempt."""
        self.state, self.trouble = state, trouble
        try:
            if self._unsaved or self._news:
                self._write()
        except (CiaoError, OSError) as error:
            self.state, self.trouble = "failed", str(error)
            raise CiaoError(f"{error}; {len(self._unsaved)} entries will be applied again at the next start") from error
        finally:
            level = logging.INFO if self.state == "stopped" else logging.ERROR
            _log.log(level, "%s: %s at %s %s", self.folder.path, self.state, self.learner.position, self.trouble)
            self._guard.end()
            self._disconnect()
            self._watch(self)

    def _show(self) -> None:
        if time.monotonic() >= self._next_watch:
            self._next_watch = time.monotonic() + WATCH_S
            self._watch(self)
