"""Run the paper's experiments: every encoder with every scheme, without and with CIAO, on every task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ciao_stream import experiment
from ciao_stream.atomic import write_text
from ciao_stream.command import names, output_console
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces import Split
from ciao_stream.plan import Plan
from ciao_stream.report.table import Table, synthetic_mark, to_markdown, to_rich
from ciao_stream.suites.paper.evidence import Document, comparisons, metrics_of
from ciao_stream.suites.paper.figure import write_figure_4
from ciao_stream.suites.paper.published import SCHEMES
from ciao_stream.suites.paper.tables import BASELINES, WITHOUT_ENCODER, table_i, table_ii
from strategies import MASKED

STRATEGIES = [*(scheme + mask for scheme in SCHEMES for mask in ("", MASKED)), *BASELINES]
SEEDS = 30
"""The paper's number of runs."""

JUDGED: Split = "test"


def run(plan: Plan, command: list[str]) -> None:
    """Run one benchmark per encoder, each in a folder of its own, and write the paper's tables and figure.

    Args:
        plan: What all of them share; its encoder names one or more, with commas between them.
        command: The command line, for the record.

    Raises:
        CiaoError: As :func:`ciao_stream.experiment.run`.
    """
    encoders = names(plan.encoder)
    if not encoders:
        raise CiaoError("no encoder given")
    if len({*map(_folder, encoders)}) < len(encoders):
        raise CiaoError(f"two of the encoders {', '.join(encoders)} would share a results folder: rename one")
    documents = []
    for i, encoder in enumerate(encoders):
        strategies = [s for s in plan.strategies if i == 0 or s not in WITHOUT_ENCODER]
        out = plan.out / _folder(encoder)
        resume = plan.resume and (out / "run.json").exists()
        own = replace(plan, encoder=encoder, strategies=strategies, out=out, resume=resume)
        documents.append(experiment.run(own, command))
    tables = report(documents, plan.out)
    shown = output_console()
    for table in tables:
        shown.print(to_rich(table))
    shown.print(f"tables and figure: {plan.out}", soft_wrap=True)


def report(documents: Sequence[Document], out: Path) -> list[Table]:
    """Write ``paper.md`` and ``figure_4.png``, each whole or not at all, and return the tables.

    Args:
        documents: Results, one per encoder, of the same tasks.
        out: Where to.

    Raises:
        CiaoError: A file cannot be written.
    """
    compared, tasks = comparisons(documents), documents[0]["tasks"]
    tables = [table_i(task, documents, compared, metric) for task in tasks for metric in metrics_of(task)]
    tables.append(table_ii(tasks, documents))
    encoders = [f"{one['encoder']['name']}: weights {one['encoder']['weights']}" for one in documents]
    mark = synthetic_mark(documents[0])
    head = [f"# Evidence of CIAO{f' ({mark})' if mark else ''}", *encoders, "![trained parameters](figure_4.png)"]
    write_text(out / "paper.md", "\n\n".join([*head, *map(to_markdown, tables)]))
    if compared:
        write_figure_4(out / "figure_4.png", compared)
    return tables


def _folder(encoder: str) -> str:
    """Return the name of an encoder's folder."""
    return Path(encoder).name.replace(":", "-")
