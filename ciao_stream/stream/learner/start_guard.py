"""What keeps an entry that ends the process from ending it for ever.

A file beside the checkpoints counts the starts at one watermark that no clean end followed. From the third on the
learner goes in single steps: before each entry it writes down, and brings to disk, which one it is about to apply.
An entry that was written there when the process crashed is refused: a native crash leaves a trace. An end without one
may be a kill -9 from outside, which is no fault of the entry; it takes several in a row over the same one.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.atomic import write_text
from ciao_stream.stream.log.keys import order

STARTS = 3
"""Starts at one watermark, none of which came to a clean end, from which on the learner goes in single steps."""

ENDS = 4
"""Ends in a row over one entry, in single steps and without a trace, after which it is refused."""


SINGLE_STEPS = 128
"""Entries that are survived in single steps before the learner goes in long ones again. A checkpoint is no reason to:
on a slow machine there may be one between the start and the entry that ends the process."""


class StartGuard:
    """Counts the starts of a learner, and what they died of.

    Args:
        path: The file; it is there while a learner runs, and after one that was killed.

    Raises:
        CiaoError: The file holds something else.
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
            raise CiaoError(f"{path} is damaged: remove it") from error

    @property
    def single_step(self) -> bool:
        """Whether each entry is to be marked before it is applied."""
        return self._steps_left > 0

    def begin(self, watermark: str) -> None:
        """Count a start.

        Args:
            watermark: Of the checkpoint that is gone on from.

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
        """Have a native crash in the block leave a trace, unless it leaves one elsewhere already."""
        if faulthandler.is_enabled():
            yield
            return
        with self.trace.open("w") as file:
            faulthandler.enable(file, all_threads=False)
            try:
                yield
            finally:
                faulthandler.disable()

    def condemned(self, position: str) -> bool:
        """Say whether an entry is to be refused."""
        return bool(self._state["ends"].get(position, 0) >= ENDS)

    def mark(self, position: str) -> None:
        """Write down which entry is about to be applied.

        Raises:
            CiaoError: The file cannot be written; the entry must not be applied then.
        """
        self._write(marked=position)

    def unmark(self) -> None:
        """Write down that the process survived it.

        Raises:
            CiaoError: The file cannot be written.
        """
        self._steps_left -= 1
        ends = {position: n for position, n in self._state["ends"].items() if position != self._state["marked"]}
        self._write(marked=None, ends=ends)

    def end(self) -> None:
        """Come to a clean end."""
        self.path.unlink(missing_ok=True)
        self.trace.unlink(missing_ok=True)

    def _write(self, **changes: Any) -> None:
        state = {**self._state, **changes}
        write_text(self.path, json.dumps(state))
        self._state = state
