"""Run a preset, then every single change of it, and compare them over the same seeds."""

from __future__ import annotations

from collections.abc import Sequence

from ciao_stream.benchmark import run as experiment
from ciao_stream.benchmark.plan import Plan
from ciao_stream.benchmark.suites.ablation.variants import Variant, variants
from ciao_stream.benchmark.suites.paper.evidence import Result, results
from ciao_stream.benchmark.suites.report import report
from ciao_stream.encoders import load_encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.report.formats import metric_name, show, show_count, show_seconds
from ciao_stream.report.html.page import NAME
from ciao_stream.report.html.suite import Findings
from ciao_stream.report.intervals import mean_interval
from ciao_stream.report.results import Document
from ciao_stream.report.table import Cell, Table, judged_split, synthetic_mark
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
    if skipped := baseline["not_run"]:
        reasons = "; ".join(f"{one['task']}: {one['reason']}" for one in skipped)
        raise CiaoError(f"suite ablation: {plan.strategies[0]} does not run on every task ({reasons}): omit those")
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


def build_table(baseline: Document, changed: Sequence[tuple[Variant, Document]]) -> Table:
    """Lay out the ablation.

    Args:
        baseline: Results of the settings as they are, of one strategy.
        changed: Each change with its results, of the same strategy, tasks and seeds.
    """
    strategy = baseline["runs"][0]["strategy"]
    headings: list[tuple[str, ...]] = [("part",), ("change",)]
    rows = [[Cell(""), Cell("none")], *([Cell(one.part), Cell(one.name)] for one, _ in changed)]
    before = results(baseline)
    after = [results(document) for _, document in changed]
    for task in baseline["tasks"]:
        key = strategy, task["name"], task["primary"]
        headings += [(task["name"], metric_name(task["primary"])), ("difference",)]
        for row, own in zip(rows, [before, *after], strict=True):
            row.append(Cell(show(task["primary"], own[key].mean, own[key].interval)))
        rows[0].append(Cell(""))
        for row, own in zip(rows[1:], after, strict=True):
            row.append(_difference(task["primary"], before[key], own[key]))
    headings += [("trained", "parameters"), ("seconds",)]
    for row, own in zip(rows, [before, *after], strict=True):
        cells = [own[strategy, task["name"], task["primary"]] for task in baseline["tasks"]]
        row += [Cell(show_count(max(c.parameters for c in cells))), Cell(show_seconds(sum(c.seconds for c in cells)))]
    mark = synthetic_mark(baseline)
    settings, encoder = baseline["settings"], baseline["encoder"]
    labels = f"{100 * settings['labels']:g} % of the labels; " if "labels" in settings else ""
    seeds = len(before[strategy, baseline["tasks"][0]["name"], baseline["tasks"][0]["primary"]].values)
    notes = (
        f"{strategy} over {encoder['name']} (weights: {encoder['weights']}), preset {settings['preset']}; {labels}"
        f"{seeds} seeds, on the {judged_split(baseline)} splits",
        "difference: with the change minus without, mean over the same seeds ± half its 95 % interval; bold if that "
        "excludes 0, which one in twenty does by chance",
    )
    title = f"Ablation of {strategy}{f' ({mark})' if mark else ''}"
    return Table(title, notes, tuple(headings), tuple(map(tuple, rows)), ())


def _difference(metric: str, before: Result, after: Result) -> Cell:
    mean, half = mean_interval([after.values[seed] - before.values[seed] for seed in sorted(before.values)])
    sign = "+" if mean > 0 else "-" if mean < 0 else ""
    return Cell(sign + show(metric, abs(mean), half), best=abs(mean) > half)
