"""Run a preset, then every single change of it, and compare them over the same seeds."""

from __future__ import annotations

from ciao_stream.benchmark import run as experiment
from ciao_stream.benchmark.plan import Plan
from ciao_stream.benchmark.suites.ablation.table import build_table
from ciao_stream.benchmark.suites.ablation.variants import variants
from ciao_stream.benchmark.suites.report import report
from ciao_stream.encoders import load_encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.report.html.page import NAME
from ciao_stream.report.html.suite import Findings
from ciao_stream.report.table import synthetic_mark
from ciao_stream.runtime.console import ConsoleProgress
from ciao_stream.worlds.masks import choose_mask
from ciao_stream.worlds.settings import AUTO

PRESET = "preset"
"""Name of the folder of the settings as they are."""


def run(plan: Plan) -> None:
    """Run one benchmark with the preset and one for each change of it, and report the differences.

    Args:
        plan: What all of them share.

    Raises:
        CiaoError: As :func:`ciao_stream.benchmark.run.run`; or the plan has other than one strategy, or one that does
            not run on every task.
    """
    if len(plan.strategies) != 1:
        raise CiaoError(f"suite ablation takes one strategy but got {', '.join(plan.strategies) or 'none'}")
    progress = ConsoleProgress()
    baseline = experiment.run(plan.part(PRESET), progress)
    if left_out := baseline["not_run"]:
        reasons = "; ".join(f"{one['task']}: {one['reason']}" for one in left_out)
        raise CiaoError(f"suite ablation: {plan.strategies[0]} does not run on every task ({reasons}): leave those out")
    settings = plan.settings(baseline["tasks"][0]["name"])
    if settings.mask == AUTO:
        settings = settings.changed({"mask": choose_mask(load_encoder(plan.encoder).last)})
    tried = [one for one in variants(settings) if not one.changes.keys() & plan.changes.keys()]
    documents = [
        (one, experiment.run(plan.part(one.folder, changes={**plan.changes, **one.changes}), progress)) for one in tried
    ]
    findings = Findings(
        suite="ablation",
        title="Ablation",
        mark=synthetic_mark(baseline),
        notes=(),
        tables=[build_table(baseline, documents)],
        document=baseline,
        pictures={},
        runs={f"{PRESET}/{NAME}": "no change"} | {f"{one.folder}/{NAME}": f"{one.part}: {one.name}" for one in tried},
    )
    report(findings, plan.out)
