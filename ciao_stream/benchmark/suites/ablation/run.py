"""Run a preset, then every single change of it, and compare them over the same seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ciao_stream.benchmark import run as experiment
from ciao_stream.benchmark.plan import Plan
from ciao_stream.benchmark.suites.ablation.table import build_table
from ciao_stream.benchmark.suites.ablation.variants import variants
from ciao_stream.benchmark.suites.report import report
from ciao_stream.encoders import load_encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import Split
from ciao_stream.report.html.page import NAME
from ciao_stream.report.html.suite import Findings
from ciao_stream.report.results import Document
from ciao_stream.report.table import synthetic_mark
from ciao_stream.runtime.run_folder import begun, require_part
from ciao_stream.worlds.masks import choose_mask
from ciao_stream.worlds.settings import AUTO

STRATEGIES = ["dl+ciao"]
SEEDS = 3
JUDGED: Split = "validation"
PRESET = "preset"
"""Name of the folder of the settings as they are."""


def run(plan: Plan, command: list[str]) -> None:
    """Run one benchmark for the settings as they are and one for each change, and report what they differ in.

    Args:
        plan: What all of them share.
        command: The command line, for the record.

    Raises:
        CiaoError: As :func:`ciao_stream.benchmark.run.run`; or the plan has other than one strategy, or one that does
            not run on every task.
    """
    if len(plan.strategies) != 1:
        raise CiaoError(f"suite ablation takes one strategy but got {', '.join(plan.strategies) or 'none'}")
    require_part(plan.out, plan.resume)
    baseline = _run(plan, PRESET, {}, command)
    if left_out := baseline["not_run"]:
        reasons = "; ".join(f"{one['task']}: {one['reason']}" for one in left_out)
        raise CiaoError(f"suite ablation: {plan.strategies[0]} does not run on every task ({reasons}): leave those out")
    settings = plan.settings(baseline["tasks"][0]["name"])
    if settings.mask == AUTO:
        settings = settings.changed({"mask": choose_mask(load_encoder(plan.encoder).last)})
    tried = [one for one in variants(settings) if not one.changes.keys() & plan.changes.keys()]
    documents = [(one, _run(plan, one.folder, one.changes, command)) for one in tried]
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


def _run(plan: Plan, folder: str, changes: Mapping[str, object], command: Sequence[str]) -> Document:
    out = plan.out / folder
    resume = plan.resume and begun(out)
    changed = replace(plan, changes={**plan.changes, **changes}, out=out, resume=resume)
    return experiment.run(changed, [*command], show=False)
