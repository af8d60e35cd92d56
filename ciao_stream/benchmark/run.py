"""One benchmark run: load, encode once, run every strategy with every seed, report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.synthetic import universal_ceiling
from ciao_stream.benchmark.cells import Outcomes, run_cells, threads
from ciao_stream.benchmark.plan import Plan
from ciao_stream.benchmark.prepare import crop_tasks, data_sha256, encode_tasks, load_tasks
from ciao_stream.benchmark.sharing import shared_images
from ciao_stream.encoders import load_encoder
from ciao_stream.encoders.base import Encoder, Level
from ciao_stream.faces.dataset import TaskData
from ciao_stream.report.figures import write_figures
from ciao_stream.report.html.page import write_report
from ciao_stream.report.results import (
    Document,
    RunRow,
    build_document,
    describe_environment,
    describe_task,
    write_results,
)
from ciao_stream.report.table import build_table, to_rich
from ciao_stream.runtime.command import output_console
from ciao_stream.runtime.device import fast_dtype, keep_memory
from ciao_stream.runtime.progress import SILENT, Progress
from ciao_stream.runtime.ray_cluster import require_answer
from ciao_stream.runtime.run_folder import claim, released_on_bad_data
from ciao_stream.worlds.masks import choose_mask, mask_options, mask_size
from ciao_stream.worlds.settings import AUTO
from strategies import load_strategy
from strategies.base.sequence import levels_read

FORMAT = "ciao_stream/run/1"


def run(plan: Plan, progress: Progress = SILENT) -> Document:
    """Run a plan, write its results and figures, and return the results document.

    Raises:
        CiaoError: The data are bad, the output cannot be written, or ``--resume`` finds another run.
    """
    encoder, tasks, seconds = prepare(plan, progress)
    outcomes = run_cells(plan, encoder, tasks, progress)
    document = build_document(
        command=plan.command,
        environment=describe_environment(plan.device, str(fast_dtype(plan.device)).removeprefix("torch.")),
        encoder=describe_encoder(encoder),
        tasks=[describe_task(task, plan.seeds) for task in tasks],
        settings={**describe_settings(plan, encoder, tasks), **_ground_truth(tasks)},
        rows=_rows(plan, outcomes, tasks, seconds),
        matrices=_matrices(outcomes),
        not_run=not_run(outcomes),
        shared_images=shared_images(tasks),
    )
    write_results(document, plan.out)
    write_figures(document, plan.out)
    write_report(document, plan.out)
    return document


def show(document: Document, out: Path) -> None:
    """Print the table of a run, and where its files are."""
    shown = output_console()
    shown.print(to_rich(build_table(document)))
    shown.print(f"results, table and figures: {out}", soft_wrap=True)


def prepare(
    plan: Plan,
    progress: Progress = SILENT,
    change: Callable[[list[TaskData]], list[TaskData]] = list,
    form: str = FORMAT,
) -> tuple[Encoder, list[TaskData], dict[str, float]]:
    """Load a plan's encoder and tasks, claim its folder, crop and encode.

    Args:
        plan: The plan.
        progress: Shows the progress.
        change: Turns the tasks that were loaded into those that are run.
        form: Name and version of the run; a run with another one is not resumed.

    Returns:
        The encoder, the tasks, and the seconds that it took to encode each.

    Raises:
        CiaoError: As :func:`run`.
    """
    if plan.ray:
        require_answer(plan.ray)
    keep_memory()
    encoder = load_encoder(plan.encoder).to(plan.device)
    if plan.tuned is not None:
        plan.tuned.check_encoder(encoder.name, encoder.fingerprint())
    tasks = change(load_tasks(plan, progress))
    claim(plan.out, _identity(plan, encoder, tasks) | {"format": form}, plan.record, plan.resume)
    with released_on_bad_data(plan.out, plan.resume):
        tasks = crop_tasks(tasks, plan.crop, progress)
        seconds = encode_tasks(plan, tasks, encoder, _levels(plan), progress)
    return encoder, tasks, seconds


def describe_encoder(encoder: Encoder) -> dict[str, Any]:
    """Return the entry ``encoder`` of a document."""
    return {
        "name": encoder.name,
        "fingerprint": encoder.fingerprint(),
        "parameters": encoder.parameter_count(),
        "weights": encoder.weights,
    }


def describe_settings(plan: Plan, encoder: Encoder, tasks: list[TaskData]) -> dict[str, Any]:
    """Return the entry ``settings`` of a document: how the tasks of a plan were trained."""
    first, *others = {plan.settings(task.spec.name).epochs for task in tasks}
    return {
        "preset": plan.preset,
        **({} if others else {"epochs": first}),
        "tasks": {task.spec.name: plan.settings(task.spec.name).to_json() for task in tasks},
        **({"labels": plan.labels} if plan.labels < 1 else {}),
        **({"judged": plan.judge_on} if plan.judge_on != "test" else {}),
        **({"heads": plan.tuned.describe()} if plan.tuned is not None else {}),
        **_mask(plan, encoder, tasks),
    }


def _mask(plan: Plan, encoder: Encoder, tasks: list[TaskData]) -> dict[str, Any]:
    """Return the name and size of the mask; nothing without one, or if tasks have different ones."""
    if not any(load_strategy(name)[1] for name in plan.strategies):
        return {}
    found = []
    for settings in (plan.settings(task.spec.name) for task in tasks):
        name = choose_mask(encoder.last) if settings.mask == AUTO else settings.mask
        size = mask_size(name, encoder.last, **mask_options(name, settings))
        found.append({"name": name, "parameters": size})
    return {"mask": found[0]} if all(one == found[0] for one in found) else {}


def _ground_truth(tasks: list[TaskData]) -> dict[str, Any]:
    """Return the accuracy that one rule for all synthetic worlds with classes could reach at most."""
    names = [t.spec.name for t in tasks if t.train.source == "synthetic" and t.spec.has_classes]
    if len(names) < 2:
        return {}
    return {"universal_ceiling": {"tasks": names, "accuracy": universal_ceiling(names)}}


def _identity(plan: Plan, encoder: Encoder, tasks: list[TaskData]) -> dict[str, Any]:
    """Return what determines the numbers of this run."""
    return {
        "format": FORMAT,
        "tasks": list(plan.tasks),
        "data": {task.spec.name: data_sha256(task) for task in tasks},
        "crop": {
            "when": plan.face_crop,
            "detector": plan.detector,
            "no_face": plan.no_face,
            "several": plan.several_faces,
        },
        "encoder": encoder.fingerprint(),
        "device": plan.device,
        "threads": threads(plan),
        "labels": plan.labels,
        "judged": plan.judge_on,
        "settings": {task.spec.name: plan.settings(task.spec.name).to_json() for task in tasks},
    }


def _levels(plan: Plan) -> list[Level]:
    """Return the levels that the plan's strategies read."""
    return sorted({level for name in plan.strategies for level in levels_read(*load_strategy(name))})


def _rows(plan: Plan, outcomes: Outcomes, tasks: list[TaskData], seconds: dict[str, float]) -> list[RunRow]:
    primary = {task.spec.name: task.spec.primary for task in tasks}
    return [
        RunRow(
            strategy, task.task, seed, plan.judge_on, task.n, task.metrics, primary[task.task],
            {"encode_seconds": seconds[task.task], **task.cost}, task.state_sha256, task.details,
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


def not_run(outcomes: Outcomes) -> list[dict[str, str]]:
    """Return strategy, task and reason of each cell that was not run."""
    reasons = {(strategy, task): why for (strategy, _), o in outcomes.items() for task, why in o.not_run.items()}
    return [{"strategy": strategy, "task": task, "reason": why} for (strategy, task), why in reasons.items()]
