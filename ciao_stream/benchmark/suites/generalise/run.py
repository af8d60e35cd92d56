"""Run the grid: learn every task on its own, then evaluate it on the faces of every task."""

from __future__ import annotations

import json

from ciao_stream.benchmark.cells import run_cells
from ciao_stream.benchmark.plan import Plan
from ciao_stream.benchmark.run import describe_encoder, describe_settings, not_run, prepare
from ciao_stream.benchmark.sharing import find_shared
from ciao_stream.benchmark.suites.generalise.common import with_common_classes
from ciao_stream.benchmark.suites.generalise.grid import build_document
from ciao_stream.benchmark.suites.generalise.judging import judge, require_predictors
from ciao_stream.benchmark.suites.generalise.tables import build_tables, notes
from ciao_stream.benchmark.suites.report import report
from ciao_stream.report.html.suite import Findings
from ciao_stream.report.results import Document, describe_environment, describe_task
from ciao_stream.report.table import synthetic_mark
from ciao_stream.runtime.atomic import write_text
from ciao_stream.runtime.console import ConsoleProgress
from ciao_stream.runtime.device import fast_dtype

RUN = "ciao_stream/generalise-run/1"


def run(plan: Plan) -> Document:
    """Run a plan on the common classes, write ``generalise.json`` and report the tables.

    A strategy must learn each task on its own, so that one run over all tasks learns the same as one run per task.

    Raises:
        CiaoError: As :func:`ciao_stream.benchmark.run.run`; or a task or strategy cannot take part.
    """
    require_predictors(plan.strategies)
    progress = ConsoleProgress()
    encoder, tasks, _ = prepare(plan, progress, with_common_classes, RUN)
    outcomes = run_cells(plan, encoder, tasks, progress)
    judged = judge(plan, encoder, tasks, outcomes, progress)
    with progress.bar("compare images") as bar:
        shared = find_shared(tasks, plan.judge_on, encoder, plan.feature_cache(), bar.advance)
    document = build_document(
        about={
            "command": plan.command,
            "environment": describe_environment(plan.device, str(fast_dtype(plan.device)).removeprefix("torch.")),
            "encoder": describe_encoder(encoder),
            "settings": describe_settings(plan, encoder, tasks),
        },
        tasks=[describe_task(task, plan.seeds) for task in tasks],
        judged=judged,
        shared=shared,
        not_run=not_run(outcomes),
    )
    write_text(plan.out / "generalise.json", json.dumps(document, indent=1, allow_nan=False) + "\n")
    found = Findings(
        suite="generalise",
        title="From one data set to the others",
        mark=synthetic_mark(document),
        notes=notes(document),
        tables=build_tables(document),
        document=document,
    )
    report(found, plan.out)
    return document
