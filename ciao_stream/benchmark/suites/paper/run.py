"""Run the paper's experiments: every encoder with every scheme, without and with CIAO, on every task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ciao_stream.benchmark import run as experiment
from ciao_stream.benchmark.plan import Plan
from ciao_stream.benchmark.suites import WITHOUT_ENCODER
from ciao_stream.benchmark.suites.paper.evidence import Document, comparisons, metrics_of
from ciao_stream.benchmark.suites.paper.tables import table_i, table_ii, write_figure_4
from ciao_stream.benchmark.suites.report import report
from ciao_stream.exceptions import CiaoError
from ciao_stream.report.html.page import NAME
from ciao_stream.report.html.suite import Findings
from ciao_stream.report.table import synthetic_mark
from ciao_stream.runtime.console import ConsoleProgress
from ciao_stream.runtime.options import names

FIGURE = "figure_4.png"


def run(plan: Plan) -> None:
    """Run one benchmark per encoder, each in its own folder, and report the paper's tables and figure.

    Args:
        plan: What all of them share; its encoder names one or more, with commas between them.

    Raises:
        CiaoError: As :func:`ciao_stream.benchmark.run.run`.
    """
    encoders = names(plan.encoder)
    if len({*map(_folder, encoders)}) < len(encoders):
        raise CiaoError(f"two of the encoders {', '.join(encoders)} would share a results folder: rename one")
    progress, documents = ConsoleProgress(), {}
    for i, encoder in enumerate(encoders):
        strategies = tuple(s for s in plan.strategies if i == 0 or s not in WITHOUT_ENCODER)
        own = plan.part(_folder(encoder), encoder=encoder, strategies=strategies)
        documents[own.out.name] = experiment.run(own, progress)
        experiment.show(documents[own.out.name], own.out)
    if compared := comparisons(_told_apart(documents)):
        write_figure_4(plan.out / FIGURE, compared)
    report(findings(documents), plan.out)


def findings(documents: Mapping[str, Document]) -> Findings:
    """Return the findings of the runs.

    Args:
        documents: Results, one per encoder, of the same tasks, by the name of the folder.
    """
    found = _told_apart(documents)
    compared, tasks = comparisons(found), found[0]["tasks"]
    encoders = {folder: one["encoder"] for folder, one in documents.items()}
    return Findings(
        suite="paper",
        title="Evidence of CIAO",
        mark=synthetic_mark(found[0]),
        notes=[f"{one['name']}: weights {one['weights']}" for one in encoders.values()],
        tables=[
            *(table_i(task, found, compared, metric) for task in tasks for metric in metrics_of(task)),
            table_ii(tasks, found),
        ],
        document=found[0] if len(found) == 1 else {**found[0], "encoder": encoders, "settings": _alike(found)},
        pictures={FIGURE: "Figure 4: parameters that each scheme trains, mean over tasks"} if compared else {},
        runs={f"{folder}/{NAME}": folder for folder in documents},
    )


def _told_apart(documents: Mapping[str, Document]) -> list[Document]:
    """Return the documents; of encoders with one name, such as two trainings of one, each bears its folder's."""
    named = Counter(one["encoder"]["name"] for one in documents.values())
    return [
        one if named[one["encoder"]["name"]] == 1 else {**one, "encoder": {**one["encoder"], "name": folder}}
        for folder, one in documents.items()
    ]


def _alike(documents: Sequence[Document]) -> dict[str, Any]:
    """Return what all settings have in common; the mask of ``auto`` depends on the encoder."""
    first, *others = (one["settings"] for one in documents)
    return {name: value for name, value in first.items() if all(one.get(name) == value for one in others)}


def _folder(encoder: str) -> str:
    """Return the name of an encoder's folder."""
    return Path(encoder).name.replace(":", "-")
