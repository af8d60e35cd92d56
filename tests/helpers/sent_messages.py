"""What publishers sent to a stream, as a learner would find it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ciao_stream.faces.task import TaskSpec
from ciao_stream.stream.learner.counters import SequenceTracker
from ciao_stream.stream.log.messages import Header, decode, header_of

PATIENCE_S = 900
"""Seconds that a test waits for another process or thread, on a machine that is busy with other work."""


def until(condition: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Wait until a condition is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not true after {seconds:.0f} s"
        time.sleep(0.01)


def entries(client, stream: str = "frames") -> list[tuple[str, dict[bytes, bytes]]]:
    """All entries; each must be sound, its task declared before it, and its number the next of its producer's."""
    found = [(position.decode(), fields) for position, fields in client.xrange(stream)]
    tasks: dict[str, TaskSpec] = {}
    tracker = SequenceTracker()
    for position, fields in found:
        event = decode(position, fields, tasks)
        if hasattr(event, "spec"):
            tasks[event.task] = event.spec
        header = header_of(fields)
        step = tracker.see(header.producer, header.seq)
        assert (step.lost, step.repeated) == (0, False), f"{header.producer} {header.seq}"
    return found


def headers(client, stream: str = "frames") -> list[Header]:
    """The headers of all entries."""
    return [header_of(fields) for _, fields in entries(client, stream)]


def contents(client, stream: str = "frames") -> list[dict[bytes, bytes]]:
    """The entries without their positions."""
    return [fields for _, fields in entries(client, stream)]


def data_root_free(environment: dict[str, str], home: Path) -> dict[str, str]:
    """An environment without a data root, whose home is ``home``."""
    kept = {name: value for name, value in environment.items() if name not in ("CIAO_DATA_ROOT", "XDG_DATA_HOME")}
    return {**kept, "HOME": str(home)}
