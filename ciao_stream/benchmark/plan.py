"""What a benchmark is to do: the options of the command as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.names import OWN, split_rule
from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.faces.crop import FaceCrop
from ciao_stream.faces.dataset import Split
from ciao_stream.worlds.published import published_settings
from ciao_stream.worlds.settings import PRESETS, Settings
from ciao_stream.worlds.tuned import TunedHeads
from strategies import check_strategy_name


@dataclass(frozen=True)
class Plan:
    """What to run; the options of the command, checked for their form only."""

    tasks: list[str]
    data_root: Path | None
    encoder: str
    strategies: list[str]
    preset: str
    seeds: int
    epochs: int | None
    out: Path
    resume: bool
    device: str
    cache: Path
    cache_budget: int
    synthetic_size: int | None
    crop: FaceCrop
    balance: list[str]
    ray: str | None
    """Address of a Ray cluster to run cells on, empty for one of this machine's cores; None: one cell after another."""
    labels: float = 1.0
    """Share of the training faces whose labels are used, in (0, 1]; each seed draws its own."""
    judged: Split = "test"
    """The split that results are measured on: choices are made on ``validation``."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Settings that replace the preset's, by name as in :meth:`Settings.to_json`; ``head.`` before the head's."""
    heads: TunedHeads | None = None
    """What a search found, in place of the preset."""

    def settings(self, task: str) -> Settings:
        """Return how the task of this name is trained.

        Raises:
            CiaoError: A search found nothing for it.
        """
        if self.heads is not None:
            chosen = self.heads.of_task(task)
        else:
            chosen = published_settings(self.encoder, task) if self.preset == "paper" else PRESETS[self.preset]
        if self.epochs is not None:
            chosen = replace(chosen, epochs=self.epochs)
        chosen = chosen.changed(self.changes)
        return replace(chosen, balanced=chosen.balanced or task in self.balance)

    def sizes(self) -> dict[str, int] | None:
        """Return how many faces a synthetic world has per split, None for its own numbers."""
        if self.synthetic_size is None:
            return None
        return {
            "train": self.synthetic_size,
            "validation": max(self.synthetic_size // 6, 8),
            "test": max(self.synthetic_size // 3, 8),
        }

    def check(self) -> None:
        """Refuse names that do not exist or stand twice, before anything is loaded.

        Raises:
            CiaoError: As said.
        """
        named = [task if split_rule(task)[0] in OWN else split_rule(task)[0] for task in self.tasks]
        for what, names in (("task", named), ("strategy", self.strategies)):
            if not names:
                raise CiaoError(f"no {what} given")
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise CiaoError(f"{what} {min(twice)!r} stands twice")
        for name in self.strategies:
            check_strategy_name(name)
        for task in self.tasks:
            if self.heads is not None and split_rule(task)[0] not in OWN:
                self.heads.of_task(split_rule(task)[0])
        if self.preset not in PRESETS:
            raise UnknownNameError("preset", self.preset, PRESETS)
        if not 0 < self.labels <= 1:
            raise CiaoError(f"--labels: expected a share above 0 and at most 1 but got {self.labels}")
        if PRESETS[self.preset].changed(self.changes).unlabelled != "none" and self.labels == 1:
            raise CiaoError("--set unlabelled: with all labels no face is without one; use --labels below 1")
