"""Settings of online learning: frozen, validated dataclasses; :class:`StreamSettings` is saved in every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ciao_stream.runtime.options import option, validate
from ciao_stream.runtime.plugins import plugin_names

DetectorName = Literal["adwin", "page-hinkley", "dummy"]
"""Drift detectors: see :data:`ciao_stream.stream.learner.prequential.DETECTORS`."""

DriftAnswer = Literal["none", "raise-rate", "refresh-replay", "new-world"]
"""Response to a signal of the chosen detector; signals are counted and reported in any case."""

ClassPrior = Literal["stream", "even"]
"""How common predictions assume classes to be: as in the ``stream`` so far, or ``even``, which finds more faces of rare
classes and is wrong more often overall."""

StreamScheme = Literal["dl", "lc"]
"""What an online world trains besides its mask. (``full`` starts from pixels, which are not kept.)"""

REFUSED_WINDOW = 200
"""Number of recent entries over which the share of refused messages is computed."""


def _count(default: int) -> Any:
    return option(default, least=1, most=2**31 - 1)


@dataclass(frozen=True)
class StreamSettings:
    """How online worlds learn. Their masks, heads and training have :class:`ciao_stream.worlds.settings.Settings`.

    Args:
        scheme: What is trained besides the mask: the head (``dl``), or the last convolution and the head (``lc``).
        masked: Give each world a mask.
        micro_batch: Labelled frames of a world per update. Nothing else decides when a world learns.
        steps: Optimiser steps per micro-batch.
        replay_ratio: Replayed samples per new sample in each step. Their number is rounded up; a micro-batch of 1
            needs more than 0, because batch normalisation has no variance over one sample.
        replay_capacity: Maximum number of samples in a world's replay memory.
        class_prior: Class frequencies that predictions assume: those of the ``stream`` so far, or ``even`` ones. See
            :func:`ciao_stream.stream.learner.training.log_shift`.
        lr: Learning rate.
        fall_steps: Steps over which the learning rate decays, or 0 for a constant rate. Step n of a world, counted
            from 0, uses the learning rate divided by sqrt(1 + n / ``fall_steps``).
        pending_capacity: Maximum number of a world's frames that wait for their label; the oldest are evicted.
        recent_capacity: Maximum number of a world's labelled frames kept for corrections; the oldest are evicted.
        beside: Baselines to train on the same frames as each world with classes, separated by commas. See
            :mod:`ciao_stream.baselines`.
        window: Number of recent predictions used for rolling metrics.
        fading: Decay per prediction of the fading metrics.
        detector: Drift detector that triggers ``--on-drift``.
        on_drift: Response to drift: ``none``; ``raise-rate``: raise the learning rate for a while; ``refresh-replay``:
            empty the replay memory; ``new-world``: continue in a copy of the world and leave the world as it is.
        drift_rate: Factor by which ``raise-rate`` raises the learning rate.
        drift_steps: Steps for which the learning rate stays raised.
        worlds_per_task: Maximum number of worlds of one task with ``new-world``, including the first. The last one
            continues to learn.

    Raises:
        CiaoError: Values are out of range; the one line lists all of them.
    """

    scheme: StreamScheme = "dl"
    masked: bool = True
    micro_batch: int = _count(8)
    steps: int = _count(1)
    replay_ratio: float = option(7.0, least=0)
    replay_capacity: int = _count(2000)
    class_prior: ClassPrior = "stream"
    lr: float | None = option(None, above=0, shown="that of the preset")
    fall_steps: float = option(100.0, least=0)
    pending_capacity: int = _count(512)
    recent_capacity: int = _count(64)
    beside: str = option("", metavar="NAME,NAME")
    window: int = _count(500)
    fading: float = option(0.998, above=0, below=1)
    detector: DetectorName = "adwin"
    on_drift: DriftAnswer = "none"
    drift_rate: float = option(3.0, least=1)
    drift_steps: int = _count(50)
    worlds_per_task: int = _count(4)

    def __post_init__(self) -> None:
        problems = []
        if self.micro_batch == 1 and self.replay_ratio == 0:
            problems.append("replay_ratio: expected more than 0 for a micro-batch of 1 but got 0")
        known = plugin_names("ciao_stream.baselines")
        if isinstance(self.beside, str) and any(name not in known for name in self.baselines):
            problems.append(f"beside: expected some of {', '.join(known)} but got {self.beside!r}")
        validate(self, also=problems)

    @property
    def baselines(self) -> tuple[str, ...]:
        """The names in ``beside``, each once."""
        return tuple(dict.fromkeys(name.strip() for name in self.beside.split(",") if name.strip()))


@dataclass(frozen=True)
class FollowSettings:
    """How a learner follows the stream. None of it changes what is learned.

    Args:
        checkpoint_entries: Write a checkpoint after this many entries.
        checkpoint_s: Write a checkpoint after this many seconds, if anything is new.
        trim_s: Interval in seconds at which entries that no checkpoint needs are trimmed from the stream.
        history: Maximum number of processed entries kept in the stream, for undo and older checkpoints.
        history_mib: Maximum size of these entries in MiB.
        max_refused: Stop if more than this share of the last 200 entries was refused.
        until_idle: Stop after this many seconds without an entry.
        max_frames: Stop after this many frames.

    Raises:
        CiaoError: Values are out of range; the one line lists all of them.
    """

    checkpoint_entries: int = option(64, least=1)
    checkpoint_s: float = option(1.0, least=0)
    trim_s: float = option(60.0, least=0)
    history: int = option(4000, least=1)
    history_mib: int = option(256, least=1)
    max_refused: float = option(0.5, least=0, most=1)
    until_idle: float | None = option(None, least=0)
    max_frames: int | None = option(None, least=1)

    def __post_init__(self) -> None:
        validate(self)
