"""Run a preset, then every single change of it, and compare them over the same seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ciao_stream.benchmark import run as experiment
from ciao_stream.benchmark.plan import Plan
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
from ciao_stream.worlds.settings import AUTO, Settings

PRESET = "preset"
"""Name of the folder of the settings as they are."""


@dataclass(frozen=True)
class Variant:
    """One change.

    Args:
        part: What it is about.
        name: What it is called in tables.
        changes: As :meth:`ciao_stream.worlds.settings.Settings.changed` takes them.
    """

    part: str
    name: str
    changes: Mapping[str, Any]

    @property
    def folder(self) -> str:
        """Name of the folder of its results."""
        return f"{self.part}-{self.name}".replace(" ", "_").replace("/", "-")


VARIANTS: tuple[Variant, ...] = (
    Variant("mask", "full (ciao)", {"mask": "ciao"}),
    Variant("mask", "1x1 (pointwise)", {"mask": "pointwise"}),
    Variant("mask", "low-rank", {"mask": "low-rank"}),
    Variant("mask", "depthwise", {"mask": "depthwise"}),
    Variant("contrast", "none", {"contrast_weight": 0.0}),
    Variant("contrast", "weight 0.1", {"contrast_weight": 0.1}),
    Variant("contrast", "weight 1", {"contrast_weight": 1.0}),
    Variant("contrast", "on the pooled map", {"contrast_on": "map"}),
    Variant("contrast", "on the output", {"contrast_on": "output"}),
    Variant("contrast", "as Eq. 3", {"contrast": "eq3"}),
    Variant("contrast", "as the authors' code", {"contrast": "npairs"}),
    Variant("contrast", "SupCon", {"contrast": "supcon"}),
    Variant("contrast", "temperature 0.07", {"temperature": 0.07}),
    Variant("contrast", "temperature 0.3", {"temperature": 0.3}),
    Variant("steps", "alternating", {"alternate": True}),
    Variant("head", "mean pool", {"head.pool": "mean"}),
    Variant("head", "2x2 max pool", {"head.pool": "max2"}),
    Variant("head", "no normalisation", {"head.norm": "none"}),
    Variant("head", "one linear layer", {"head.hidden": []}),
    Variant("head", "128 hidden", {"head.hidden": [128]}),
    Variant("head", "512 hidden", {"head.hidden": [512]}),
    Variant("head", "dropout 0", {"head.dropout": 0.0}),
    Variant("head", "dropout 0.7", {"head.dropout": 0.7}),
    Variant("training", "constant rate", {"schedule": "constant"}),
    Variant("training", "rate 0.0003", {"lr": 3e-4}),
    Variant("training", "rate 0.003", {"lr": 3e-3}),
    Variant("training", "SGD, momentum 0.9, rate 0.01", {"optimizer": "sgd", "momentum": 0.9, "lr": 0.01}),
    Variant("training", "weight decay 0.05", {"weight_decay": 0.05}),
    Variant("training", "batch of 256", {"batch_size": 256}),
    Variant("training", "3 epochs", {"epochs": 3}),
    Variant("training", "12 epochs", {"epochs": 12}),
)
"""Every change that is tried; those that the settings already have are skipped."""


def variants(settings: Settings) -> list[Variant]:
    """Return the changes that change these settings."""
    return [variant for variant in VARIANTS if settings.changed(variant.changes) != settings]


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
