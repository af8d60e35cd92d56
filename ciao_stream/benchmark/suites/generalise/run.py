"""Run the grid: learn every task by itself, then ask what was learned about the faces of every task."""

from __future__ import annotations

import functools
import json

from rich.console import Console

from ciao_stream.benchmark.cells import run_cells
from ciao_stream.benchmark.plan import Plan
from ciao_stream.benchmark.prepare import progress_bars
from ciao_stream.benchmark.run import describe_encoder, describe_settings, not_run, prepare
from ciao_stream.benchmark.suites.generalise.common import with_common_classes
from ciao_stream.benchmark.suites.generalise.grid import build_document
from ciao_stream.benchmark.suites.generalise.judging import judge, require_predictors
from ciao_stream.benchmark.suites.generalise.sharing import find_shared
from ciao_stream.benchmark.suites.generalise.tables import build_tables, notes
from ciao_stream.benchmark.suites.report import report
from ciao_stream.encoders.cache import FeatureCache
from ciao_stream.faces.dataset import Split
from ciao_stream.report.html.suite import Findings
from ciao_stream.report.results import Document, describe_environment, describe_task
from ciao_stream.report.table import synthetic_mark
from ciao_stream.runtime.atomic import write_text
from ciao_stream.runtime.precision import fast_dtype

STRATEGIES = ["logreg", "dl", "dl+ciao", "cafe-small", "full"]
SEEDS = 3
JUDGED: Split = "test"
RUN = "ciao_stream/generalise-run/1"


def run(plan: Plan, command: list[str]) -> Document:
    """Run a plan on the common classes, write ``generalise.json`` and report the tables.

    A strategy that takes part learns each task by itself, so that one run over all tasks learns what as many runs
    over one task each would.

    Raises:
        CiaoError: As :func:`ciao_stream.benchmark.run.run`; or a task or strategy cannot take part.
    """
    plan.check()
    require_predictors(plan.strategies)
    console = Console(stderr=True)
    encoder, tasks, _ = prepare(plan, console, with_common_classes, RUN)
    outcomes = run_cells(plan, encoder, tasks, console)
    judged = judge(plan, encoder, tasks, outcomes, console)
    with progress_bars(console) as progress:
        bar = progress.add_task("compare pictures", total=None)
        cache = FeatureCache(plan.cache, plan.cache_budget)
        shared = find_shared(tasks, plan.judged, encoder, cache, functools.partial(progress.advance, bar))
    document = build_document(
        about={
            "command": command,
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
    report(findings(document), plan.out)
    return document


def findings(document: Document) -> Findings:
    """Return what a grid says."""
    return Findings(
        suite="generalise",
        title="From one data set to the others",
        mark=synthetic_mark(document),
        notes=notes(document),
        tables=build_tables(document),
        document=document,
        pictures={},
        runs={},
    )
