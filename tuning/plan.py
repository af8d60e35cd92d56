"""The plan of a search: the options of the command, and what determines its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ciao_stream.benchmark.plan import Plan
from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.runtime.options import option, validate, words
from ciao_stream.worlds.adapters import scheme_names
from ciao_stream.worlds.published import published_settings
from ciao_stream.worlds.settings import Settings
from strategies import MASKED
from tuning.space import DEFAULT_SPACE, Point, Space, read_space

MODULE = "ciao_stream.tune"
NO_OPTIONS = ("plan", "record")
"""Fields that :func:`ciao_stream.runtime.options.add_options` gives no option."""

DECIDED = (
    "limit", "strategies", "seeds", "heads", "judge_on", "face_crop", "detector", "no_face", "several_faces", "suite",
)  # fmt: skip
"""Options of a benchmark that a search decides or does not have."""

MASK_SETTINGS = ("mask", "mask_rate", "rank", "contrast", "contrast_on", "temperature", "contrast_weight", "alternate")
"""Settings that mean nothing without a mask; but ``rank`` is also that of ``lora``."""


@dataclass(frozen=True)
class TunePlan:
    """A search.

    Args:
        plan: What a search shares with a benchmark; its strategy, seeds and split follow from the fields below.
        trials: Number of trials per task, including those that fail or are stopped early.
        scheme: What is trained: dl, lc, full or an adapter, with or without +ciao.
        space: File (.toml or .json) with the settings to search and their ranges.
        search: How trials are proposed.
        folds: Number of folds of the training faces on which a trial is judged; 1 uses the validation split.
        trial_seeds: Number of seeds per trial; the score of a trial is their mean.
        early_stop: Rule that stops bad trials.
        known_points: Try the preset and the paper's own settings first.
        seed: Seed of the search.
        concurrent: Number of trials at a time.
        share: How workers get encoded faces: path (--cache is on a disk that all machines share) or store (Ray's).
        record: The options of the command as JSON, for ``run.json``.

    Raises:
        CiaoError: A value is out of range, there is no such scheme, or the space is bad.
    """

    plan: Plan
    trials: int = option(60, least=1)
    scheme: str = "dl+ciao"
    space: Path = option(DEFAULT_SPACE, shown="tuning/space.toml")
    search: Literal["tpe", "random"] = "tpe"
    folds: int = option(1, least=1)
    trial_seeds: int = option(2, least=1)
    early_stop: Literal["asha", "median", "none"] = "asha"
    known_points: bool = True
    seed: int = 0
    concurrent: int | None = option(None, least=1, shown="one per core, 4 per GPU")
    share: Literal["path", "store"] = "path"
    record: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        validate(self)
        if self.trained not in scheme_names():
            raise UnknownNameError("scheme", self.scheme, [n + m for n in scheme_names() for m in ("", MASKED)])
        shared = replace(self.plan, strategies=(self.scheme,), seeds=self.trial_seeds, judge_on="validation")
        object.__setattr__(self, "plan", shared)
        for task in shared.names:
            self.space_of(task)

    @property
    def command(self) -> list[str]:
        """The command line."""
        return [MODULE, *self.plan.options, *words(TunePlan, self.record, leave_out=NO_OPTIONS)]

    @property
    def trained(self) -> str:
        """What a world trains besides its mask."""
        return self.scheme.removesuffix(MASKED)

    @property
    def masked(self) -> bool:
        """Whether a world has a mask."""
        return self.scheme.endswith(MASKED)

    def space_of(self, task: str) -> Space:
        """Return the space of a task: the file's, without what the options fix or the scheme does not use.

        Raises:
            CiaoError: The file is bad, or nothing is left to search.
        """
        base = self.plan.settings(task)
        names = {
            *self.plan.changes,
            *(["epochs"] if self.plan.epochs else []),
            *(["balanced"] if base.balanced else []),
        }
        if not self.masked:
            names |= {name for name in MASK_SETTINGS if (name, self.trained) != ("rank", "lora")}
        space = read_space(self.space, base, {name: _value(base, name) for name in names})
        if not space.dimensions:
            raise CiaoError(f"space {self.space}: the options fix every setting in it: nothing is left to search")
        return space

    def points(self, task: str, space: Space) -> list[Point]:
        """Return the points that are tried first: the preset, and the paper's settings for the task."""
        if not self.known_points:
            return []
        known = [self.plan.settings(task), published_settings(self.plan.encoder, task)]
        points: list[Point] = [space.nearest(settings) for settings in known]
        return points[:1] if points[0] == points[1] else points

    def identity(self, data: Mapping[str, Any], fingerprint: str, form: str) -> dict[str, Any]:
        """Return what determines the numbers of this search; more trials may be added.

        Args:
            data: Digests of the tasks' data, by name.
            fingerprint: Of the encoder.
            form: Name and version of the run.
        """
        return {
            "format": form,
            "tasks": list(self.plan.tasks),
            "data": dict(data),
            "encoder": fingerprint,
            "scheme": self.scheme,
            "space": {task: self.space_of(task).sha256 for task in data},
            "search": self.search,
            "seed": self.seed,
            "known_points": self.known_points,
            "labels": self.plan.labels,
            "folds": self.folds,
            "trial_seeds": self.trial_seeds,
            "early_stop": self.early_stop,
            "device": self.plan.device,
            "settings": {task: self.plan.settings(task).to_json() for task in data},
            "fixed": sorted(self.plan.changes),
        }


def _value(settings: Settings, name: str) -> Any:
    data = settings.to_json()
    owner, _, own = name.rpartition(".")
    return data["head"][own] if owner == "head" else data[own]
