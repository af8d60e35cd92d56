"""The plan of a benchmark: the options of the command, with what follows from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ciao_stream.benchmark.task_plan import NO_OPTIONS, TaskPlan, check_all
from ciao_stream.encoders import check_encoder_name
from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.runtime.folders import default_cache
from ciao_stream.runtime.options import names, option, words
from ciao_stream.runtime.run_folder import begun
from ciao_stream.worlds.published import published_settings
from ciao_stream.worlds.settings import PRESETS, Settings
from ciao_stream.worlds.tuned import TunedHeads, read_tuned
from strategies import check_strategy_name

if TYPE_CHECKING:
    from ciao_stream.encoders.cache import FeatureCache
    from ciao_stream.faces.crop import FaceCrop

MODULE = "ciao_stream.benchmark"


@dataclass(frozen=True)
class Plan(TaskPlan):
    """What to run.

    Args:
        labels: Share of the training labels to use; each seed draws its own.
        balance: Tasks whose training draws all classes equally often.
        synthetic_size: Number of training faces of each synthetic world.
        encoder: Encoder, by name or folder. The suite ``paper`` takes several.
        strategies: Strategies to compare, or all.
        seeds: Number of seeds per strategy, counted from 0.
        preset: Named training settings.
        epochs: Passes over the training faces of each task.
        changes: Settings that replace the preset's, by name as :meth:`Settings.changed` takes them.
        heads: Settings from a search (tuned.json) instead of --preset.
        judge_on: Split on which results are computed: choose on validation, then report test once.
        ray: Run on this machine's cores in parallel, or on the Ray cluster at ADDRESS.
        cache_budget: Maximum size of the cache in GiB.
        face_crop: Crop images to the face; auto crops data sets of photographs only.
        detector: Face detector: haar or yunet:FILE.
        no_face: What to do with an image in which no face is found.
        several_faces: Which face to use if several are found.
        suite: Set of runs that answers one question.

    Raises:
        CiaoError: A name does not exist or is given twice, or a value is out of range.
    """

    labels: float = option(1.0, above=0, most=1)
    balance: tuple[str, ...] = ()
    synthetic_size: int | None = option(None, least=1)
    encoder: str = "ciao-face"
    strategies: tuple[str, ...] = ("dl", "dl+ciao", "naive", "joint")
    seeds: int = option(3, least=1)
    preset: str = option("default")
    epochs: int | None = option(None, least=1, shown="the preset's")
    changes: Mapping[str, Any] = field(default_factory=dict)
    heads: Path | None = None
    judge_on: Literal["validation", "test"] = "test"
    ray: str | None = option(None, const="", metavar="ADDRESS")
    cache_budget: int = option(64, least=1)
    face_crop: Literal["auto", "always", "never"] = "auto"
    detector: str = option("haar", metavar="DETECTOR")
    no_face: Literal["whole", "drop", "error"] = "whole"
    several_faces: Literal["largest", "central", "error"] = "largest"
    suite: Literal["paper", "generalise", "ablation", "online"] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_all("strategy", "--strategies", self.strategies, check_strategy_name)
        check_all("encoder", "--encoder", names(self.encoder), check_encoder_name)
        for task in self.balance:
            if task not in self.names:
                raise UnknownNameError("task to balance", task, self.names)
        PRESETS[self.preset].changed(self.changes)
        if self.tuned is not None:
            if self.preset != "default":
                raise CiaoError("--preset and --heads exclude each other: the file of --heads has all settings")
            for task in self.names:
                self.tuned.of_task(task)
        from ciao_stream.faces.detection import check_detector

        check_detector(self.detector)

    @cached_property
    def tuned(self) -> TunedHeads | None:
        """The settings that a search found, in place of the preset."""
        return None if self.heads is None else read_tuned(self.heads)

    @property
    def crop(self) -> FaceCrop:
        """How photographs are cut to the face."""
        from ciao_stream.faces.crop import FaceCrop

        return FaceCrop(self.face_crop, self.detector, self.no_face, self.several_faces)

    @property
    def command(self) -> list[str]:
        """Command line of this plan, or of the suite that it is a part of."""
        return [MODULE, *self.options]

    @property
    def options(self) -> list[str]:
        """The options of :attr:`command`."""
        fixed = [
            word for name, value in self.record.get("changes", {}).items() for word in ("--set", pair(name, value))
        ]
        always = ("strategies", "seeds", "judge_on") if self.record.get("suite") else ()
        out = ["--out", self.record["out"]] if "out" in self.record else []
        return [*words(Plan, self.record, leave_out=(*NO_OPTIONS, "changes"), always=always), *fixed, *out]

    def settings(self, task: str) -> Settings:
        """Return how the task of this name is trained.

        Raises:
            CiaoError: The search of ``heads`` found nothing for it.
        """
        if self.tuned is not None:
            chosen = self.tuned.of_task(task)
        else:
            chosen = published_settings(self.encoder, task) if self.preset == "paper" else PRESETS[self.preset]
        if self.epochs is not None:
            chosen = replace(chosen, epochs=self.epochs)
        chosen = chosen.changed(self.changes)
        return replace(chosen, balanced=chosen.balanced or task in self.balance)

    def feature_cache(self) -> FeatureCache:
        """Return the cache of encoded faces."""
        from ciao_stream.encoders.cache import FeatureCache

        return FeatureCache((self.cache or default_cache(self.out)).absolute(), self.cache_budget * 2**30)

    def sizes(self) -> dict[str, int] | None:
        """Return how many faces a synthetic world has per split, None for its own numbers."""
        if self.synthetic_size is None:
            return None
        return {
            "train": self.synthetic_size,
            "validation": max(self.synthetic_size // 6, 8),
            "test": max(self.synthetic_size // 3, 8),
        }

    def check_kept(self) -> None:
        """Refuse to resume a run without a strategy or seed of it, whose results would be lost.

        Raises:
            CiaoError: Some would be lost.
        """
        cells = [*self.out.glob("**/cells/*/seed*")]
        kept = {*self.strategies, *(f"seed{seed}" for seed in range(self.seeds))}
        if lost := sorted({name for cell in cells for name in (cell.parent.name, cell.name)} - kept):
            raise CiaoError(
                f"the results of {', '.join(lost)} in {self.out} would be lost: omit --strategies and --seeds to keep "
                "them, or choose another --out"
            )

    def part(self, folder: str, **changed: Any) -> Plan:
        """Return the plan of one of a suite's runs, in its own folder; it is resumed if it has begun.

        Args:
            folder: Name of its folder.
            changed: Fields in which it differs.
        """
        out = self.out / folder
        return replace(self, out=out, resume=self.resume and begun(out), **changed)


def pair(name: str, value: Any) -> str:
    """Return a setting as ``--set`` takes it.

    >>> pair("head.hidden", [64]), pair("mask", "ciao")
    ('head.hidden=[64]', 'mask=ciao')
    """
    return f"{name}={value if isinstance(value, str) else json.dumps(value)}"
