"""One benchmark run: load, encode once, run every strategy with every seed, report."""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.synthetic import universal_ceiling
from benchmarks.tasks import load_task
from ciao_stream.allocator import keep_memory
from ciao_stream.atomic import write_text
from ciao_stream.encoded import EncodedFaces, encode
from ciao_stream.encoder import Encoder, Level
from ciao_stream.encoders import load_encoder
from ciao_stream.exceptions import CiaoError, DataError, UnknownNameError
from ciao_stream.faces import FaceDataset, Split, TaskData
from ciao_stream.features import FeatureCache
from ciao_stream.precision import fast_dtype
from ciao_stream.report.figures import write_figures
from ciao_stream.report.results import (
    Document,
    RunRow,
    build_document,
    describe_environment,
    describe_task,
    write_results,
)
from ciao_stream.report.table import build_table, to_rich
from ciao_stream.settings import PRESETS, Settings
from ciao_stream.tasks import TaskSpec
from strategies import check_strategy_name, load_strategy
from strategies._sequence import Job, Outcome
from tuning.published import published_settings

FORMAT = "ciao_stream/run/1"
TABLE_WIDTH = 130
"""Columns of the table where the output is no terminal."""


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

    def settings(self, task: str) -> Settings:
        """Return how a task is trained."""
        chosen = published_settings(self.encoder, task) if self.preset == "paper" else PRESETS[self.preset]
        return chosen if self.epochs is None else replace(chosen, epochs=self.epochs)

    def check(self) -> None:
        """Refuse names that do not exist or stand twice, before anything is loaded.

        Raises:
            CiaoError: As said.
        """
        for what, chosen in (("task", self.tasks), ("strategy", self.strategies)):
            if not chosen:
                raise CiaoError(f"no {what} given")
            names = [name.partition(":")[0] for name in chosen]
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise CiaoError(f"{what} {min(twice)!r} stands twice")
        for name in self.strategies:
            check_strategy_name(name)
        if self.preset not in PRESETS:
            raise UnknownNameError("preset", self.preset, PRESETS)


def run(plan: Plan, command: list[str]) -> Document:
    """Run a plan, print its table and return its results document.

    Raises:
        CiaoError: The plan or its data are bad, the output cannot be written, or ``--resume`` meets another run.
    """
    plan.check()
    keep_memory()
    encoder = load_encoder(plan.encoder).to(plan.device)
    tasks = [load_task(name, plan.data_root, sizes=_sizes(plan)) for name in plan.tasks]
    for task in tasks:
        if len(task.train) < 2:
            raise CiaoError(f"task {task.spec.name!r}: one face to train on; at least two are needed")
    _claim(plan, encoder, tasks)
    console = Console(stderr=True)
    try:
        seconds = _encode(plan, encoder, tasks, console)
    except DataError:
        if not plan.resume:
            _run_file(plan).unlink()  # so that the same command can start anew when the data is mended
        raise
    outcomes = _run_cells(plan, encoder, tasks, console)
    document = build_document(
        command=command,
        environment=describe_environment(plan.device, str(fast_dtype(plan.device)).removeprefix("torch.")),
        encoder={
            "name": encoder.name,
            "fingerprint": encoder.fingerprint(),
            "parameters": encoder.parameter_count(),
            "weights": "random, seed 0",
        },
        tasks=[describe_task(task) for task in tasks],
        settings={
            "preset": plan.preset,
            "epochs": plan.settings(tasks[0].spec.name).epochs,
            "tasks": {task.spec.name: plan.settings(task.spec.name).to_json() for task in tasks},
            **_ground_truth(tasks),
        },
        rows=_rows(outcomes, tasks, seconds),
        matrices=_matrices(outcomes),
        not_run=_not_run(outcomes),
    )
    write_results(document, plan.out)
    write_figures(document, plan.out)
    shown = Console()
    if not shown.is_terminal:
        shown = Console(width=TABLE_WIDTH)
    shown.print(to_rich(build_table(document)))
    shown.print(f"results, table and figures: {plan.out}", soft_wrap=True)
    return document


Outcomes = dict[tuple[str, int], Outcome]
"""What each cell, a strategy with a seed, gave."""


def _sizes(plan: Plan) -> dict[str, int] | None:
    if plan.synthetic_size is None:
        return None
    return {
        "train": plan.synthetic_size,
        "validation": max(plan.synthetic_size // 6, 8),
        "test": max(plan.synthetic_size // 3, 8),
    }


def _ground_truth(tasks: list[TaskData]) -> dict[str, Any]:
    """What is known of synthetic worlds: how far one reading for all of those with classes could ever come."""
    names = [t.spec.name for t in tasks if t.train.source == "synthetic" and t.spec.has_classes]
    if len(names) < 2:
        return {}
    return {"universal_ceiling": {"tasks": names, "accuracy": universal_ceiling(names)}}


def _run_file(plan: Plan) -> Path:
    return plan.out / "run.json"


def _claim(plan: Plan, encoder: Encoder, tasks: list[TaskData]) -> None:
    """Write down what decides the numbers of this run, or check that the run to go on with is the same."""
    identity = {
        "format": FORMAT,
        "tasks": plan.tasks,
        "data": {task.spec.name: [_data_sha256(split) for split in task.splits()] for task in tasks},
        "encoder": encoder.fingerprint(),
        "device": plan.device,
        "threads": torch.get_num_threads(),  # another number sums in another order
        "settings": {task.spec.name: plan.settings(task.spec.name).to_json() for task in tasks},
    }
    path = _run_file(plan)
    try:
        text = path.read_text()
    except (FileNotFoundError, NotADirectoryError) as error:
        if plan.resume:
            hint = "there is no run.json; leave out --resume to start"
            raise CiaoError(f"nothing to resume in {plan.out}: {hint}") from error
        write_text(path, json.dumps(identity, indent=1))
        return
    except (OSError, ValueError) as error:
        raise CiaoError(f"cannot read {path}: {error}; choose another --out") from error
    if not plan.resume:
        raise CiaoError(f"{plan.out} holds a run already: add --resume to go on with it, or choose another --out")
    try:
        before: dict[str, Any] = dict(json.loads(text))
    except (TypeError, ValueError) as error:
        raise CiaoError(f"{path} is damaged: choose another --out") from error
    changed = [key for key, value in identity.items() if before.get(key) != value]
    if changed:
        raise CiaoError(
            f"the run in {plan.out} was started with other {', '.join(changed)}: "
            "give the same options, or choose another --out"
        )


def _data_sha256(split: FaceDataset) -> str:
    digest = hashlib.sha256(split.images.fingerprint.encode())
    for array in (split.rows, split.targets):
        digest.update(array.tobytes())
    return digest.hexdigest()


def _levels(plan: Plan) -> list[Level]:
    """The levels that the plan's strategies read."""
    return sorted({module.STRATEGY.level(masked) for module, masked in map(load_strategy, plan.strategies)})


def _encode(plan: Plan, encoder: Encoder, tasks: list[TaskData], console: Console) -> dict[str, float]:
    """Encode what the strategies read; return the seconds it took per task, 0 for what was in the cache."""
    cache = FeatureCache(plan.cache, plan.cache_budget)
    seconds = {}
    with _progress(console) as progress:
        for task in tasks:
            start = time.perf_counter()
            sources, levels = (task.train.images, task.test.images), _levels(plan)
            missing = sum(max(cache.work(images, encoder, level) for level in levels) for images in sources)
            if missing:
                bar = progress.add_task(f"encode {task.spec.name}", total=missing)
                for images in sources:
                    for level in levels:
                        cache.get(images, encoder, level, functools.partial(progress.advance, bar))
            seconds[task.spec.name] = time.perf_counter() - start if missing else 0.0
    return seconds


def _run_cells(plan: Plan, encoder: Encoder, tasks: list[TaskData], console: Console) -> Outcomes:
    cache = FeatureCache(plan.cache, plan.cache_budget)
    by_name = {task.spec.name: task for task in tasks}
    settings = {name: plan.settings(name) for name in by_name}

    @functools.cache  # one memory map for all cells
    def faces(spec: TaskSpec, split: Split, level: Level) -> EncodedFaces:
        return encode(getattr(by_name[spec.name], split), encoder, cache, level)

    outcomes: Outcomes = {}
    with _progress(console) as progress:
        per_cell = sum(s.epochs for s in settings.values())
        bar = progress.add_task("train", total=per_cell * len(plan.strategies) * plan.seeds)
        for name in plan.strategies:
            for seed in range(plan.seeds):
                module, masked = load_strategy(name)

                def on_epoch(task: str, name: str = name, seed: int = seed) -> None:
                    progress.update(bar, advance=1, description=f"train {name}, {task}, seed {seed}")

                folder = plan.out / "cells" / name / f"seed{seed}"
                job = Job(tuple(t.spec for t in tasks), faces, encoder, settings, seed, folder, on_epoch)
                outcomes[name, seed] = module.STRATEGY.run(job, masked)
                progress.update(bar, completed=per_cell * len(outcomes))
    return outcomes


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield progress


def _rows(outcomes: Outcomes, tasks: list[TaskData], seconds: dict[str, float]) -> list[RunRow]:
    primary = {task.spec.name: task.spec.primary for task in tasks}
    return [
        RunRow(
            strategy, task.task, seed, "test", task.n, task.metrics, primary[task.task],
            task.trained_parameters, seconds[task.task], task.train_seconds, task.state_sha256,
        )
        for (strategy, seed), outcome in outcomes.items()
        for task in outcome.tasks
    ]  # fmt: skip


def _matrices(outcomes: Outcomes) -> dict[str, dict[int, Any]]:
    matrices: dict[str, dict[int, Any]] = {}
    for (strategy, seed), outcome in outcomes.items():
        if outcome.tasks:
            matrices.setdefault(strategy, {})[seed] = outcome.matrix
    return matrices


def _not_run(outcomes: Outcomes) -> list[dict[str, str]]:
    reasons = {(strategy, task): why for (strategy, _), o in outcomes.items() for task, why in o.not_run.items()}
    return [{"strategy": strategy, "task": task, "reason": why} for (strategy, task), why in reasons.items()]
