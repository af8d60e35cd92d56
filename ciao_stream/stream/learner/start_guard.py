"""Guard against an entry that crashes the process at every start.

A file next to the checkpoints counts the starts from one checkpoint that were not followed by a clean end. From the
third on the learner single-steps: before each entry it records on disk which one it is about to apply. If a native
crash follows, which leaves a trace, that entry is refused. A death without a trace may be a kill -9 from outside, not
caused by the entry; then several in a row at the same entry are required.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.atomic import write_text
from ciao_stream.stream.log.keys import order

STARTS = 3
"""Number of starts from one checkpoint, without a clean end, at which the learner begins to single-step."""

ENDS = 4
"""Number of deaths in a row at one entry, single-stepping and without a trace, after which it is refused."""

SINGLE_STEPS = 128
"""Number of entries to single-step. A new checkpoint does not end single-stepping, because on a slow machine one may be
written between the start and the entry that crashes."""


class StartGuard:
    """Counts the starts of a learner and the entries at which it died.

    Args:
        path: The file; it exists while a learner runs, and after one was killed.

    Raises:
        CiaoError: The file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trace = path.with_suffix(".trace")
        self._steps_left = 0
        self._state: dict[str, Any] = {"watermark": None, "starts": 0, "marked": None, "ends": {}}
        if not path.exists():
            return
        try:
            self._state = {**self._state, **json.loads(path.read_text())}
        except (OSError, ValueError, TypeError) as error:
            raise CiaoError(f"{path} is damaged: expected the starts of a learner; delete it") from error

    @property
    def single_step(self) -> bool:
        """Whether each entry must be marked before it is applied."""
        return self._steps_left > 0

    def begin(self, watermark: str) -> None:
        """Count a start.

        Args:
            watermark: Position of the checkpoint that is resumed.

        Raises:
            CiaoError: The file cannot be written.
        """
        before = self._state
        starts = before["starts"] + 1 if before["watermark"] == watermark else 1
        ends = Counter({p: n for p, n in before["ends"].items() if order(p) > order(watermark)})
        if before["marked"] is not None:
            crashed = self.trace.exists() and self.trace.stat().st_size > 0
            ends[before["marked"]] += ENDS if crashed else 1
        self._steps_left = SINGLE_STEPS if starts >= STARTS else 0
        self._write(watermark=watermark, starts=starts, marked=None, ends=dict(ends))

    @contextlib.contextmanager
    def traced(self) -> Iterator[None]:
        """Make a native crash in the block leave a trace, unless faulthandler is already in use."""
        if faulthandler.is_enabled():
            yield
            return
        with self.trace.open("w") as file:
            faulthandler.enable(file, all_threads=False)
            try:
                yield
            finally:
                faulthandler.disable()

    @contextlib.contextmanager
    def applying(self, position: str, persist: Callable[[Callable[[], None]], None]) -> Iterator[None]:
        """While single-stepping, record on disk that the block applies an entry, in case the process dies in it.

        Args:
            position: Of the entry.
            persist: Calls a function that writes a file until it succeeds.
        """
        if not self.single_step:
            yield
            return
        persist(lambda: self.mark(position))
        try:
            yield
        except CiaoError:
            self._survived()
            raise
        self._survived()

    def condemned(self, position: str) -> bool:
        """Return whether an entry must be refused."""
        return bool(self._state["ends"].get(position, 0) >= ENDS)

    def mark(self, position: str) -> None:
        """Record on disk which entry is about to be applied.

        Raises:
            CiaoError: The file cannot be written; the entry must not be applied then.
        """
        self._write(marked=position)

    def unmark(self) -> None:
        """Record on disk that the process survived it.

        Raises:
            CiaoError: The file cannot be written.
        """
        self._steps_left -= 1
        ends = {position: n for position, n in self._state["ends"].items() if position != self._state["marked"]}
        self._write(marked=None, ends=ends)

    def end(self) -> None:
        """Delete the records after a clean end."""
        self.path.unlink(missing_ok=True)
        self.trace.unlink(missing_ok=True)

    def _survived(self) -> None:
        with contextlib.suppress(CiaoError, OSError):  # on a full disk the next mark fails
            self.unmark()

    def _write(self, **changes: Any) -> None:
        state = {**self._state, **changes}
        write_text(self.path, json.dumps(state))
        self._state = state
