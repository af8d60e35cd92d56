"""Run a preset, then every single change of it, and compare them over the same seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ciao_stream import experiment
from ciao_stream.atomic import write_text
from ciao_stream.command import output_console
from ciao_stream.encoders import load_encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces import Split
from ciao_stream.masks import AUTO, choose_mask
from ciao_stream.plan import Plan
from ciao_stream.report.results import Document
from ciao_stream.report.table import to_markdown, to_rich
from ciao_stream.suites.ablation.table import build_table
from ciao_stream.suites.ablation.variants import variants

STRATEGIES = ["dl+ciao"]
SEEDS = 3
JUDGED: Split = "validation"
PRESET = "preset"
"""Name of the folder of the settings as they are."""


def run(plan: Plan, command: list[str]) -> None:
    """Run one benchmark for the settings as they are and one for each change, and write ``ablation.md``.

    Args:
        plan: What all of them share.
        command: The command line, for the record.

    Raises:
        CiaoError: As :func:`ciao_stream.experiment.run`; or the plan has other than one strategy.
    """
    if len(plan.strategies) != 1:
        raise CiaoError(f"suite ablation takes one strategy but got {', '.join(plan.strategies) or 'none'}")
    plan.check()
    settings = plan.settings(plan.tasks[0])
    if settings.mask == AUTO:
        settings = settings.changed({"mask": choose_mask(load_encoder(plan.encoder).last)})
    tried = [one for one in variants(settings) if not one.changes.keys() & plan.changes.keys()]
    baseline = _run(plan, PRESET, {}, command)
    documents = [(one, _run(plan, one.folder, one.changes, command)) for one in tried]
    table = build_table(baseline, documents)
    write_text(plan.out / "ablation.md", f"# Ablation\n\n`{' '.join(command)}`\n\n{to_markdown(table)}")
    shown = output_console()
    shown.print(to_rich(table))
    shown.print(f"table: {plan.out / 'ablation.md'}", soft_wrap=True)


def _run(plan: Plan, folder: str, changes: Mapping[str, object], command: Sequence[str]) -> Document:
    out = plan.out / folder
    resume = plan.resume and (out / "run.json").exists()
    changed = replace(plan, changes={**plan.changes, **changes}, out=out, resume=resume)
    return experiment.run(changed, [*command], show=False)
