"""A head search: encode once, then for each task propose, train and judge trials on Ray, and keep the best settings."""

from __future__ import annotations

import json
import logging
import os
import shutil
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ciao_stream.benchmark.prepare import crop_tasks, data_sha256, encode_tasks, load_tasks
from ciao_stream.encoders import load_encoder
from ciao_stream.encoders.base import Encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import TaskData
from ciao_stream.report.html.tuning import write_tuning_report
from ciao_stream.runtime.atomic import write_text
from ciao_stream.runtime.progress import SILENT, Progress
from ciao_stream.runtime.ray_cluster import ray_cluster, require_answer
from ciao_stream.runtime.run_folder import claim, released_on_bad_data
from ciao_stream.runtime.versions import installed_version
from ciao_stream.worlds.tuned import FORMAT as TUNED_FORMAT
from ciao_stream.worlds.tuned import TUNED
from ciao_stream.worlds.world import level_read
from tuning.ground import make_ground
from tuning.journal import Journal, SearchState, TrialRow, Watch, best, unwatched
from tuning.plan import TunePlan
from tuning.trial import Ground

FORMAT = "ciao_stream/tune/1"

RETRIES = 2
"""How often a trial is retried after its worker died."""

TRIALS_PER_GPU = 4
"""Trials that share a GPU by default."""

RUNGS = 25, 2
"""ASHA compares trials first at this percentage of their epochs, and lets one in so many continue."""

MEDIAN_FROM = 5
"""Trials that must end before the median rule stops any."""

_RAY_FOLDER = "ray"


def run(plan: TunePlan, progress: Progress = SILENT, watch: Watch = unwatched) -> Path:
    """Run or resume a search, write ``tuned.json`` and the page, and return the path of the page.

    Args:
        plan: What to search.
        progress: Shows the progress of loading and encoding.
        watch: Shows the state of a search.

    Raises:
        CiaoError: The plan, the space or the data are bad, the output cannot be written, no Ray cluster answers,
            ``--resume`` finds another search, or no trial of a task finished.
    """
    encoder, tasks = _prepare(plan, progress)
    journal = Journal(plan.plan.out)
    header = _header(plan, encoder)
    metrics = {task.spec.name: task.spec.primary for task in tasks}
    grounds = {
        task.spec.name: make_ground(plan.plan, task, encoder, plan.trained, plan.masked, plan.folds, plan.share)
        for task in tasks
    }
    _quiet()
    with ray_cluster(plan.plan.ray or ""):
        for task in tasks:
            name = task.spec.name
            ended = journal.of_task(name)
            if len(ended) >= plan.trials:
                continue
            state = SearchState(name, task.spec.primary, plan.trials, ended)
            with watch(state) as show:

                def on_change(one_ended: bool, show: Callable[[], None] = show) -> None:
                    show()
                    if one_ended:
                        _write_tuned(plan, header, tasks, journal)

                _search(plan, grounds[name], journal, state, on_change)
    _write_tuned(plan, header, tasks, journal)
    if none := [name for name in metrics if best(journal.of_task(name)) is None]:
        reasons = {row.error for row in journal.of_task(none[0]) if row.error}
        why = f", such as: {min(reasons)}" if reasons else ""
        raise CiaoError(f"no trial of {', '.join(none)} finished: see {journal.path}{why}")
    return write_tuning_report(plan.plan.out)


def _prepare(plan: TunePlan, progress: Progress) -> tuple[Encoder, list[TaskData]]:
    shared = plan.plan
    if shared.ray:
        require_answer(shared.ray)
    encoder = load_encoder(shared.encoder).to(shared.device)
    tasks = load_tasks(shared, progress)
    data = {task.spec.name: data_sha256(task) for task in tasks}
    claim(shared.out, plan.identity(data, encoder.fingerprint(), FORMAT), plan.record, shared.resume)
    with released_on_bad_data(shared.out, shared.resume):
        tasks = crop_tasks(tasks, shared.crop, progress)
        encode_tasks(shared, tasks, encoder, [level_read(plan.trained, plan.masked)], progress)
    return encoder, tasks


def _quiet() -> None:
    """Turn off Ray Tune's own output and files."""
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "3600"
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # the new one prints errors even if verbose=0
    for name in ("ray.tune", "ray.train", "ray.air", "hyperopt"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _search(
    plan: TunePlan, ground: Ground, journal: Journal, state: SearchState, on_change: Callable[[bool], None]
) -> None:
    """Run the trials of a task that have not ended."""
    import ray
    from ray import tune

    from tuning.recorder import Recorder
    from tuning.search import HeadSearch
    from tuning.worker import HeadTrial

    task = ground.spec.name
    space = plan.space_of(task)
    done = {row.number for row in state.ended}
    numbers = [number for number in range(plan.trials) if number not in done]
    search = HeadSearch(
        space,
        task,
        numbers,
        plan.points(task, space),
        [known(row) for row in state.ended],
        plan.search,
        plan.seed,
    )
    at_a_time, resources = _resources(plan, ray.cluster_resources())
    scratch = plan.plan.out.absolute() / _RAY_FOLDER
    shutil.rmtree(scratch, ignore_errors=True)
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(HeadTrial, ground=ground), resources),
        tune_config=tune.TuneConfig(
            metric="score",
            mode="max",
            search_alg=search,
            scheduler=_scheduler(plan),
            num_samples=len(numbers),
            max_concurrent_trials=at_a_time,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=task,
            storage_path=str(scratch),
            callbacks=[Recorder(journal, space, ground.settings, state, on_change)],
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def known(row: TrialRow) -> Any:
    """Return what a resumed search gets of a trial."""
    from tuning.search import WORST, Known

    return Known(row.number, row.point, WORST if row.at_fault else row.score)


def _resources(plan: TunePlan, cluster: Mapping[str, float]) -> tuple[int, dict[str, float]]:
    """Return how many trials run at a time, and the resources of each: less than a core if they are many."""
    cpus, gpus = cluster.get("CPU", 1.0), cluster.get("GPU", 0.0)
    if plan.plan.device == "cuda":
        if not gpus:
            raise CiaoError("--device cuda: the Ray cluster has no GPU; use --device cpu")
        at_a_time = plan.concurrent or int(TRIALS_PER_GPU * gpus)
        return at_a_time, {"cpu": _part(cpus, at_a_time), "gpu": _part(gpus, at_a_time)}
    at_a_time = plan.concurrent or max(int(cpus), 1)
    return at_a_time, {"cpu": _part(cpus, at_a_time)}


def _part(there: float, sharers: int) -> float:
    return min(1.0, int(1000 * there / sharers) / 1000)


def _scheduler(plan: TunePlan) -> Any:
    """Return the rule that stops trials; all rules compare trials by the percentage of their own epochs."""
    from ray.tune import schedulers

    first, one_in = RUNGS
    if plan.early_stop == "asha":
        return schedulers.ASHAScheduler("percent", max_t=100, grace_period=first, reduction_factor=one_in)
    if plan.early_stop == "median":
        return schedulers.MedianStoppingRule("percent", grace_period=first, min_samples_required=MEDIAN_FROM)
    return schedulers.FIFOScheduler()


def _header(plan: TunePlan, encoder: Encoder) -> dict[str, Any]:
    packages = ("ciao-stream", "torch", "ray", "hyperopt")
    return {
        "format": TUNED_FORMAT,
        "command": plan.command,
        "versions": {name: installed_version(name) for name in packages},
        "encoder": {"name": encoder.name, "fingerprint": encoder.fingerprint(), "weights": encoder.weights},
        "scheme": plan.scheme,
        "search": plan.search,
        "seed": plan.seed,
        "early_stop": plan.early_stop,
        "known_points": plan.known_points,
        "labels": plan.plan.labels,
        "folds": plan.folds,
        "trial_seeds": plan.trial_seeds,
        "preset": plan.plan.preset,
    }


def _write_tuned(plan: TunePlan, header: Mapping[str, Any], tasks: list[TaskData], journal: Journal) -> None:
    """Write the best settings so far, whole or not at all; nothing if no trial has finished."""
    found = {}
    for task in tasks:
        name = task.spec.name
        rows = journal.of_task(name)
        if (top := best(rows)) is None:
            continue
        found[name] = {
            "settings": top.settings,
            "config": top.config,
            "score": {
                "metric": task.spec.primary,
                "mean": top.score,
                "std": statistics.stdev(top.values) if len(top.values) > 1 else 0.0,
                "values": top.values,
            },
            "trial": top.number,
            "trials": {
                status: sum(row.status == status for row in rows) for status in ("finished", "stopped", "failed")
            },
            "source": task.train.source,
            "data": data_sha256(task),
        }
    if found:
        space = plan.space_of(next(iter(found)))
        document = {**header, "space": space.content, "space_sha256": space.sha256, "tasks": found}
        write_text(plan.plan.out / TUNED, json.dumps(document, allow_nan=False, indent=1))
