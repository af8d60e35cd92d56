"""Messages that publishers sent to a stream, as a learner would read them, and how tests wait for them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from ciao_stream.faces.task import TaskSpec
from ciao_stream.stream.learner.counters import SequenceTracker
from ciao_stream.stream.log.messages import Header, decode, header_of

PATIENCE_S = 900
"""Seconds that a test waits for another process or thread, on a machine that is busy with other work."""


def busy() -> float:
    """Return how much longer than on a quiet machine something may take: 1, and the waiting processes per core."""
    return 1 + os.getloadavg()[0] / (os.cpu_count() or 1)


def until(condition: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Wait until a condition is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not true after {seconds:.0f} s"
        time.sleep(0.01)


def entries(client, stream: str = "frames") -> list[tuple[str, dict[bytes, bytes]]]:
    """Return all entries; each must be valid, with its task declared before and the next number of its producer."""
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
    """Return the headers of all entries."""
    return [header_of(fields) for _, fields in entries(client, stream)]


def contents(client, stream: str = "frames") -> list[dict[bytes, bytes]]:
    """Return the entries without their positions."""
    return [fields for _, fields in entries(client, stream)]


def data_root_free(environment: dict[str, str], home: Path) -> dict[str, str]:
    """Return the environment without a data root, and with ``home`` as its home."""
    kept = {name: value for name, value in environment.items() if name not in ("CIAO_DATA_ROOT", "XDG_DATA_HOME")}
    return {**kept, "HOME": str(home)}
