"""How a stream is followed: how often the learner is written down, what is kept, and when it ends."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ciao_stream.exceptions import CiaoError

REFUSED_WINDOW = 200
"""Entries over which the share of refused ones is taken."""


@dataclass(frozen=True)
class FollowSettings:
    """How a stream is followed; none of it changes what is learned.

    Args:
        checkpoint_entries: Entries after which a checkpoint is written, >= 1.
        checkpoint_s: Seconds after which one is written if there is anything new.
        trim_s: Seconds after which entries that nobody needs are let go of.
        history: Most entries that the stream keeps behind the learner, so that it can go back to older checkpoints.
        history_mib: Most MiB of such entries.
        max_refused: Share of refused messages among the last 200 above which the follower ends, in (0, 1].
        until_idle: Seconds without an entry after which it ends; None: it does not.
        max_frames: Frames after which it ends; None: it does not.

    Raises:
        CiaoError: A value is out of range.
    """

    checkpoint_entries: int = 64
    checkpoint_s: float = 1.0
    trim_s: float = 60.0
    history: int = 4000
    history_mib: int = 256
    max_refused: float = 0.5
    until_idle: float | None = None
    max_frames: int | None = None

    def __post_init__(self) -> None:
        limits = {
            "checkpoint_entries": (1, math.inf),
            "checkpoint_s": (0, math.inf),
            "trim_s": (0, math.inf),
            "history": (1, math.inf),
            "history_mib": (1, math.inf),
            "max_refused": (0, 1),
            "until_idle": (0, math.inf),
            "max_frames": (1, math.inf),
        }
        for name, (least, most) in limits.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                upto = f" and <= {most}" if most < math.inf else ""
                raise CiaoError(f"{name}: expected a number >= {least}{upto} but got {value}")
