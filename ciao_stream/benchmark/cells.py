"""The cells of a benchmark, each a strategy with a seed: run one after another, or in parallel on Ray."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import torch

from ciao_stream.benchmark.plan import Plan
from ciao_stream.benchmark.prepare import RunFaces
from ciao_stream.encoders import load_encoder
from ciao_stream.encoders.base import Encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import TaskData
from ciao_stream.runtime.device import keep_memory
from ciao_stream.runtime.progress import SILENT, Bar, Progress
from ciao_stream.runtime.ray_cluster import ray_cluster
from strategies import load_strategy
from strategies.base.sequence import Job, Outcome


class Cell(NamedTuple):
    """A strategy, by name, with a seed."""

    strategy: str
    seed: int


Outcomes = dict[Cell, Outcome]
"""The outcome of each cell."""


def threads(plan: Plan) -> int:
    """Return how many threads a cell uses; another number sums in another order and gives other numbers."""
    return torch.get_num_threads() if plan.ray is None else 1


def run_cells(plan: Plan, encoder: Encoder, tasks: list[TaskData], progress: Progress = SILENT) -> Outcomes:
    """Run every cell of a plan whose tasks are encoded; finished cells are read from their folders.

    Raises:
        CiaoError: A cell's folder is damaged, or no Ray cluster answers.
    """
    cells = [Cell(name, seed) for name in plan.strategies for seed in range(plan.seeds)]
    per_cell = sum(plan.settings(task.spec.name).epochs for task in tasks)
    outcomes: Outcomes = {}
    with progress.bar("train", per_cell * len(cells)) as bar:
        done = _here(plan, encoder, tasks, cells, bar) if plan.ray is None else _on_ray(plan, tasks, cells)
        for cell, outcome in done:
            outcomes[cell] = outcome
            bar.reach(per_cell * len(outcomes))
    return {cell: outcomes[cell] for cell in cells}


def _here(
    plan: Plan, encoder: Encoder, tasks: list[TaskData], cells: list[Cell], bar: Bar
) -> Iterator[tuple[Cell, Outcome]]:
    for cell in cells:

        def on_epoch(task: str, cell: Cell = cell) -> None:
            bar.advance(what=f"train {cell.strategy}, {task}, seed {cell.seed}")

        yield cell, _run(plan, encoder, tasks, cell, on_epoch)


def _on_ray(plan: Plan, tasks: list[TaskData], cells: list[Cell]) -> Iterator[tuple[Cell, Outcome]]:
    """Run cells on all cores of Ray, each on one; yield them as they end."""
    with ray_cluster(plan.ray or ""):
        import ray

        here = replace(plan, out=plan.out.absolute(), cache=plan.feature_cache().folder)
        here.settings(tasks[0].spec.name)  # reads the file of --heads, which other machines may not have
        shared = ray.put((here, tasks))
        remote = ray.remote(num_cpus=1, num_gpus=1 if plan.device == "cuda" else 0, max_retries=0)(_on_worker)
        pending = {remote.remote(shared, cell): cell for cell in cells}
        while pending:
            (ended,), _ = ray.wait([*pending], num_returns=1)
            try:
                yield pending.pop(ended), ray.get(ended)
            except ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, CiaoError):
                    raise error.cause from error
                raise


def _on_worker(shared: tuple[Plan, list[TaskData]], cell: Cell) -> Outcome:
    plan, tasks = shared
    keep_memory()
    torch.set_num_threads(1)
    encoder = _encoder_of_worker(plan.encoder, plan.device)
    return _run(plan, encoder, tasks, cell, lambda _: None)


@functools.cache
def _encoder_of_worker(name: str, device: str) -> Encoder:
    return load_encoder(name).to(device)


def _run(plan: Plan, encoder: Encoder, tasks: list[TaskData], cell: Cell, on_epoch: Callable[[str], None]) -> Outcome:
    strategy, masked = load_strategy(cell.strategy)
    return strategy.run(job_of(plan, encoder, tasks, cell, on_epoch), masked)


def job_of(
    plan: Plan,
    encoder: Encoder,
    tasks: list[TaskData],
    cell: Cell,
    on_epoch: Callable[[str], None] = lambda _: None,
) -> Job:
    """Return the job of a cell: all tasks of the plan, in its own folder."""
    return Job(
        specs=tuple(task.spec for task in tasks),
        faces=RunFaces(plan, tasks, encoder, cell.seed),
        encoder=encoder,
        settings={task.spec.name: plan.settings(task.spec.name) for task in tasks},
        seed=cell.seed,
        folder=plan.out / "cells" / cell.strategy / f"seed{cell.seed}",
        on_epoch=on_epoch,
    )
