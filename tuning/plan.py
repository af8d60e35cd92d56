"""What a search is to do: the options of the command as one value, and what decides its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from ciao_stream.benchmark.plan import Plan
from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.worlds.published import published_settings
from ciao_stream.worlds.settings import Settings
from ciao_stream.worlds.world import Scheme, scheme_names
from strategies import MASKED
from tuning.ground import Share
from tuning.search import SearchName
from tuning.space import Point, Space, read_space

EarlyStop = Literal["asha", "median", "none"]

MASK_SETTINGS = ("mask", "mask_rate", "rank", "contrast", "contrast_on", "temperature", "contrast_weight", "alternate")
"""Settings that mean nothing where there is no mask; but ``rank`` is also that of ``lora``."""


@dataclass(frozen=True)
class TunePlan:
    """A search.

    Args:
        plan: What it shares with a benchmark. Its one strategy is the scheme, its seeds are those of each trial, and
            it is judged on validation.
        trials: Of each task, those that fail or are stopped early included.
        space: The file.
        search: How points are proposed.
        folds: That a trial is judged on; 1 for each task's own validation split.
        early_stop: How trials that do badly are stopped.
        concurrent: Trials at a time; None for one per core.
        seed: Of the search.
        known_points: Whether the preset, and what the paper's authors found, are tried first.
        share: How features reach the workers.
    """

    plan: Plan
    trials: int
    space: Path
    search: SearchName
    folds: int
    early_stop: EarlyStop
    concurrent: int | None
    seed: int
    known_points: bool
    share: Share

    @property
    def scheme(self) -> Scheme:
        """What a world trains beside its mask."""
        return self.plan.strategies[0].removesuffix(MASKED)

    @property
    def masked(self) -> bool:
        """Whether it has a mask."""
        return self.plan.strategies[0].endswith(MASKED)

    def check(self) -> None:
        """Refuse what cannot be, before anything is loaded; the space is read in any case.

        Raises:
            CiaoError: As said.
        """
        if self.scheme not in scheme_names():
            raise UnknownNameError(
                "scheme", self.plan.strategies[0], [n + m for n in scheme_names() for m in ("", MASKED)]
            )
        for what, value, known in (
            ("search", self.search, get_args(SearchName)),
            ("early stop", self.early_stop, get_args(EarlyStop)),
            ("way to share features", self.share, get_args(Share)),
        ):
            if value not in known:
                raise UnknownNameError(what, value, known)
        self.plan.check()
        for task in self.plan.tasks:
            self.space_of(task.partition(":")[0])

    def space_of(self, task: str) -> Space:
        """Return the space of a task: the file's, without what the options fix and the scheme does not have.

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
            names |= {name for name in MASK_SETTINGS if (name, self.scheme) != ("rank", "lora")}
        space = read_space(self.space, base, {name: _value(base, name) for name in names})
        searched = {dimension.setting for dimension in space.dimensions} | space.fixed.keys()
        if base.unlabelled != "none" or "unlabelled" in searched:
            raise CiaoError("a search trains on faces with labels only: leave out the setting 'unlabelled'")
        if not space.dimensions:
            raise CiaoError(f"space {self.space}: nothing is left to search once the options have fixed their settings")
        return space

    def points(self, task: str, space: Space) -> list[Point]:
        """Return the points that are tried first: the preset, and what the paper has for the task."""
        if not self.known_points:
            return []
        known = [self.plan.settings(task), published_settings(self.plan.encoder, task)]
        points: list[Point] = [space.nearest(settings) for settings in known]
        return points[:1] if points[0] == points[1] else points

    def identity(self, data: Mapping[str, Any], fingerprint: str, form: str) -> dict[str, Any]:
        """Return what decides the numbers of this search; how many trials it has may grow.

        Args:
            data: Digests of the tasks' data, by name.
            fingerprint: Of the encoder.
            form: Name and version of the run.
        """
        return {
            "format": form,
            "tasks": self.plan.tasks,
            "data": dict(data),
            "encoder": fingerprint,
            "scheme": self.plan.strategies[0],
            "space": {task: self.space_of(task).sha256 for task in data},
            "search": self.search,
            "seed": self.seed,
            "known_points": self.known_points,
            "labels": self.plan.labels,
            "folds": self.folds,
            "trial_seeds": self.plan.seeds,
            "early_stop": self.early_stop,
            "device": self.plan.device,
            "settings": {task: self.plan.settings(task).to_json() for task in data},
            "fixed": sorted(self.plan.changes),
        }


def _value(settings: Settings, name: str) -> Any:
    data = settings.to_json()
    owner, _, own = name.rpartition(".")
    return data["head"][own] if owner == "head" else data[own]
