"""Status of a learner: one JSON document in its folder, rewritten about every second.

It holds names, counts and metrics, but no face and no feature of a face.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.atomic import write_text
from ciao_stream.runtime.options import to_json
from ciao_stream.runtime.versions import installed_version

if TYPE_CHECKING:
    from ciao_stream.stream.learner.follow import Follower

FORMAT = "ciao_stream/stream-status/1"
PACKAGES = ("ciao-stream", "torch", "river", "redis")
RATE_SPAN = 10
"""Number of recent documents over which the frames per second are computed."""


class StatusWriter:
    """Writes the status of one follower; call it with the follower.

    Args:
        path: The file.
        redis: Address of the server, without its password.
    """

    def __init__(self, path: Path, redis: str) -> None:
        self.path = path
        self._redis = redis
        self._started_at = time.time()
        self._versions = {package: installed_version(package) for package in PACKAGES}
        self._seen: deque[tuple[float, int]] = deque(maxlen=RATE_SPAN)
        self._lag: int | None = None
        self._groups: list[dict[str, Any]] = []

    def __call__(self, follower: Follower) -> dict[str, Any]:
        """Write the document, unless the disk is full, and return it."""
        document = self._document(follower)
        with contextlib.suppress(CiaoError, OSError):
            write_text(self.path, json.dumps(document, indent=1))
        return document

    def _document(self, follower: Follower) -> dict[str, Any]:
        learner, counters, saved = follower.learner, follower.counters, follower.saved
        self._seen.append((time.monotonic(), counters.frames))
        if (lag := follower.lag()) is not None:
            self._lag = lag
        if (groups := follower.other_groups()) is not None:
            self._groups = [group.to_json() for group in groups]
        paused = follower.state == "paused"
        return {
            "format": FORMAT,
            "state": follower.state,
            "trouble": follower.trouble,
            "trouble_s": round(time.time() - follower.trouble_since, 1) if paused else None,
            "updated_at": time.time(),
            "started_at": self._started_at,
            "pid": os.getpid(),
            "redis": self._redis,
            "lag": self._lag,
            "groups": self._groups,
            "watermark": saved and saved.position,
            "position": learner.position,
            "checkpoint": saved and saved.number,
            "entries": counters.entries,
            "applied": learner.n_applied,
            "frames": counters.frames,
            "frames_per_s": self._rate(),
            "dead_letters": dict(counters.refused),
            "lost": dict(counters.lost),
            "repeated": counters.tracker.repeated,
            "passed_over": counters.passed_over,
            "incidents": counters.incidents,
            "encoder": {"name": learner.encoder.name, "fingerprint": learner.fingerprint},
            "settings": to_json(learner.settings),
            "versions": self._versions,
            "tasks": [spec.to_json() for spec in learner.tasks.values()],
            "worlds": learner.report()["worlds"],
        }

    def _rate(self) -> float:
        (then, before), (now, frames) = self._seen[0], self._seen[-1]
        return round((frames - before) / (now - then), 1) if now > then else 0.0


def read_status(path: Path) -> dict[str, Any]:
    """Read the document.

    Raises:
        CiaoError: The file does not exist, or is something else.
    """
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise CiaoError(f"no learner has worked in {path.parent}: run `learn`, or give its --worlds") from error
    except (OSError, ValueError) as error:
        raise CiaoError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise CiaoError(f"{path} is not the status of a learner: expected format {FORMAT}")
    return document
