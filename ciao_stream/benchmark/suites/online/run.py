"""Run online learners, each face once, and offline training as their bound; compare them along the stream."""

from __future__ import annotations

import json

from ciao_stream.benchmark import run as experiment
from ciao_stream.benchmark.plan import Plan
from ciao_stream.benchmark.suites.online.evidence import build_document
from ciao_stream.benchmark.suites.online.figure import write_figure
from ciao_stream.benchmark.suites.online.tables import build_tables, notes
from ciao_stream.benchmark.suites.report import report
from ciao_stream.exceptions import CiaoError
from ciao_stream.report.html.page import NAME
from ciao_stream.report.html.suite import Findings
from ciao_stream.report.results import Document
from ciao_stream.report.table import synthetic_mark
from ciao_stream.runtime.atomic import write_text
from ciao_stream.runtime.console import ConsoleProgress
from strategies import load_strategy
from strategies.base.online import Online, read_prequential


def run(plan: Plan) -> Document:
    """Run a plan, write ``online.json`` and ``online.png`` next to the results, and report the tables.

    Args:
        plan: Its strategies learn online; others are the bound.

    Raises:
        CiaoError: As :func:`ciao_stream.benchmark.run.run`; or no strategy learns online, or none of these runs on a
            task.
    """
    online = [name for name in plan.strategies if isinstance(load_strategy(name)[0], Online)]
    if not online:
        raise CiaoError("suite online needs a strategy that learns online, such as online+ciao")
    results = experiment.run(plan, ConsoleProgress())
    ran = [run for run in results["runs"] if run["strategy"] in online]
    if not ran:
        reasons = "; ".join(f"{one['strategy']}, {one['task']}: {one['reason']}" for one in results["not_run"])
        raise CiaoError(f"suite online: no strategy that learns online runs on a task ({reasons})")
    curves = [
        {key: run[key] for key in ("strategy", "task", "seed")}
        | read_prequential(plan.out / "cells" / run["strategy"] / f"seed{run['seed']}", run["task"])
        for run in ran
    ]
    document = build_document(results, curves)
    write_text(plan.out / "online.json", json.dumps(document, indent=1, allow_nan=False) + "\n")
    write_figure(plan.out / "online.png", document)
    report(findings(document), plan.out)
    return document


def findings(document: Document) -> Findings:
    """Return the findings of the curves."""
    return Findings(
        suite="online",
        title="Learned online",
        mark=synthetic_mark(document),
        notes=notes(document),
        tables=build_tables(document),
        document=document,
        pictures={"online.png": "Along the stream, and with offline training"},
        runs={NAME: "after the stream, and offline"},
    )
