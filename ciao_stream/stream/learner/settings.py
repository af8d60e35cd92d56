"""How a stream is learned from: plain, frozen, checked settings that are stored in every checkpoint."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.runtime.plugins import plugin_names
from ciao_stream.worlds.settings import UnlabelledTerm

DetectorName = Literal["adwin", "page-hinkley", "dummy"]
"""What watches the error: see :mod:`ciao_stream.stream.learner.drift`."""

DriftAnswer = Literal["none", "raise-rate", "refresh-replay", "new-world"]
"""What is done when the chosen detector signals; a signal is counted and reported in any case."""

ClassPrior = Literal["stream", "even"]
"""What answers take for granted: classes come as they have come in the ``stream``; or ``even``, each as often as any
other, which finds more of the rare ones and is wrong more often in all."""

MOST = 2**31 - 1
"""The largest whole number that a setting may be."""

StreamScheme = Literal["dl", "lc"]
"""What an online world re-trains beside its mask. (``full`` starts from pixels, which are not kept.)"""


@dataclass(frozen=True)
class StreamSettings:
    """How online worlds learn. What a world is made of stands in :class:`ciao_stream.worlds.settings.Settings`.

    Args:
        scheme: The decision layer (``dl``), or also the last convolution (``lc``).
        masked: Whether worlds have a mask.
        micro_batch: Labelled frames of a world per learning, >= 1. Micro-batches are cut by this count alone.
        steps: Steps of the optimiser per micro-batch, >= 1.
        replay_ratio: Samples from the memory per new one in each step, rounded up, >= 0. A micro-batch of 1 needs
            more than 0: a step over one sample is never taken, because batch normalisation has no variance of it.
        replay_capacity: Samples that one world's memory holds, >= 1.
        class_prior: How common the answers take classes to be: as they came in the ``stream``, or ``even``. See
            :mod:`ciao_stream.stream.learner.class_prior`.
        unlabelled: What is learned from frames that wait for their label: ``none`` (nothing, unless the world's
            settings ask for it), ``consistency`` of answers, or ``contrast`` of maps, which needs a mask. See
            :mod:`ciao_stream.worlds.unlabelled`.
        unlabelled_weight: Factor of that term, > 0.
        unlabelled_ratio: Frames that wait per new labelled one in each step, drawn anew for each, rounded up, > 0.
        lr: Learning rate, > 0; None for that of the world's settings.
        fall_steps: Step n of a world, counted from 0, is taken at the learning rate divided by
            sqrt(1 + n / ``fall_steps``), >= 0; 0 for a constant rate.
        pending_capacity: Frames of a world that wait for their label, >= 1; the oldest make way.
        recent_capacity: Labelled frames of a world that are kept for a correction, >= 1; the oldest make way.
        beside: Baselines that learn from the same frames beside every world with classes, names with commas between
            them: see :mod:`ciao_stream.baselines`.
        window: Answers over which rolling figures are had, >= 1.
        fading: Weight of an answer relative to the next one in fading figures, in (0, 1).
        detector: Whose signal is answered.
        on_drift: The answer: ``none``; ``raise-rate`` for a while, from which it falls anew; ``refresh-replay``:
            forget the memory; ``new-world``: go on in a copy of the world and leave the world as it is.
        drift_rate: Factor of the learning rate under ``raise-rate``, >= 1.
        drift_steps: Steps for which the rate stays raised, >= 1.
        worlds_per_task: Worlds that ``new-world`` may have for one task, the first one included, >= 1; once they are
            there, the last one learns on.

    Raises:
        CiaoError: A value is out of range; all such problems stand in the one message.
    """

    scheme: StreamScheme = "dl"
    masked: bool = True
    micro_batch: int = 8
    steps: int = 1
    replay_ratio: float = 7.0
    replay_capacity: int = 2000
    class_prior: ClassPrior = "stream"
    unlabelled: UnlabelledTerm = "none"
    unlabelled_weight: float = 1.0
    unlabelled_ratio: float = 3.0
    lr: float | None = None
    fall_steps: float = 100.0
    pending_capacity: int = 512
    recent_capacity: int = 64
    beside: str = ""
    window: int = 500
    fading: float = 0.998
    detector: DetectorName = "adwin"
    on_drift: DriftAnswer = "none"
    drift_rate: float = 3.0
    drift_steps: int = 50
    worlds_per_task: int = 4

    def __post_init__(self) -> None:
        alone = self.micro_batch == 1 and self.replay_ratio == 0
        limits: list[tuple[str, bool, str]] = [
            (name, _whole(getattr(self, name)), f"a whole number from 1 to {MOST:,}")
            for name, kind in get_type_hints(StreamSettings).items()
            if kind is int
        ]
        limits += [
            ("masked", isinstance(self.masked, bool), "true or false"),
            ("replay_ratio", _number(self.replay_ratio), "a number >= 0"),
            ("replay_ratio", not alone, "more than 0 for a micro-batch of 1"),
            ("unlabelled", self.masked or self.unlabelled != "contrast", "masked worlds for contrast"),
            ("unlabelled_weight", _positive(self.unlabelled_weight), "a number > 0"),
            ("unlabelled_ratio", _positive(self.unlabelled_ratio), "a number > 0"),
            ("lr", self.lr is None or _positive(self.lr), "a number > 0, or nothing"),
            ("fall_steps", _number(self.fall_steps), "a number >= 0"),
            ("fading", _number(self.fading) and 0 < self.fading < 1, "a number between 0 and 1"),
            ("drift_rate", _number(self.drift_rate) and self.drift_rate >= 1, "a number >= 1"),
        ]
        for name, kind in get_type_hints(StreamSettings).items():
            if choices := [c for c in get_args(kind) if isinstance(c, str)]:
                limits.append((name, getattr(self, name) in choices, "one of " + ", ".join(choices)))
        known = plugin_names("ciao_stream.baselines")
        limits.append(("beside", all(name in known for name in self.baselines), f"some of {', '.join(known)}"))
        problems = [
            f"{name}: expected {wanted} but got {getattr(self, name)!r}" for name, ok, wanted in limits if not ok
        ]
        if problems:
            raise CiaoError("stream settings: " + "; ".join(problems))

    @property
    def baselines(self) -> tuple[str, ...]:
        """The names in ``beside``."""
        return tuple(dict.fromkeys(name.strip() for name in self.beside.split(",") if name.strip()))

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain JSON values; :meth:`from_json` is its inverse."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StreamSettings:
        """Rebuild settings written by :meth:`to_json`.

        Raises:
            UnknownNameError: A setting of that name does not exist.
            CiaoError: A value is out of range.
        """
        if not isinstance(data, Mapping):
            raise CiaoError(f"stream settings: expected an object but got {data!s:.200}")
        known = [field.name for field in dataclasses.fields(cls)]
        for name in data:
            if name not in known:
                raise UnknownNameError("stream setting", name, known)
        return cls(**data)


def _number(value: Any) -> bool:
    """Whether a value is a finite number >= 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _positive(value: Any) -> bool:
    return _number(value) and value > 0


def _whole(value: Any) -> bool:
    return isinstance(value, int) and _number(value) and 1 <= value <= MOST
