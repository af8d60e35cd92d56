"""Checks of a results document: complete, of the right version, and consistent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.task import TaskSpec
from ciao_stream.metrics import continual
from ciao_stream.metrics.answers import detail_problems
from ciao_stream.report.rows import RunRow

FORMAT = "ciao_stream/results/1"
"""Name and version of the schema; the number grows when a field changes its meaning or goes away."""

FIELDS: dict[str, type] = {
    "format": str,
    "command": list,
    "environment": dict,
    "encoder": dict,
    "tasks": list,
    "settings": dict,
    "runs": list,
    "matrices": dict,
    "not_run": list,
    "summary": list,
}
"""The keys of a document and the JSON types of their values."""


def check_document(document: Mapping[str, Any]) -> None:
    """Refuse a document that is incomplete or inconsistent.

    Raises:
        CiaoError: One message with every problem found.
    """
    if not isinstance(document, Mapping) or document.get("format") != FORMAT:
        found = document.get("format") if isinstance(document, Mapping) else type(document).__name__
        raise CiaoError(f"not a results document: expected format {FORMAT!r} but got {found!r}")
    missing = [key for key, kind in FIELDS.items() if not isinstance(document.get(key), kind)]
    if missing:
        raise CiaoError(f"not a results document: missing or of another type: {', '.join(missing)}")
    problems = list(_problems(document))
    if problems:
        raise CiaoError(f"results document: {'; '.join(problems)}")


def _problems(document: Mapping[str, Any]) -> Iterator[str]:
    for key in ("name", "fingerprint", "parameters", "weights"):
        if key not in document["encoder"]:
            yield f"encoder has no {key!r}"
    specs = {}
    for entry in document["tasks"]:
        try:
            spec = TaskSpec.from_json(entry)
        except CiaoError as error:
            yield str(error)
            continue
        if spec.name in specs:
            yield f"task {spec.name!r} is given twice"
        if entry.get("source") not in ("real", "synthetic"):
            yield f"task {spec.name!r}: source {entry.get('source')!r} is neither 'real' nor 'synthetic'"
        specs[spec.name] = spec
    yield from _run_problems(document["runs"], specs)
    for strategy, by_seed in document["matrices"].items():
        for seed, matrix in by_seed.items():
            try:
                continual.summarise(matrix)
                fits = len(matrix) == len(document["tasks"]) + 1
            except (CiaoError, ValueError, TypeError):
                fits = False
            if not fits:
                t = len(document["tasks"])
                yield f"matrix of {strategy}, seed {seed}: expected finite numbers or null, shape ({t + 1}, {t})"
    for cell in document["not_run"]:
        if not isinstance(cell, Mapping) or set(cell) != {"strategy", "task", "reason"}:
            yield f"not_run: expected strategy, task and reason but got {cell!r}"
        elif cell["task"] not in specs:
            yield f"not_run: unknown task {cell['task']!r}"


def _run_problems(runs: list[Any], specs: Mapping[str, TaskSpec]) -> Iterator[str]:
    seen: Counter[tuple[str, str, int, str]] = Counter()
    for run in runs:
        try:
            row = RunRow.from_json(run)
        except CiaoError as error:
            yield str(error)
            continue
        where = f"run {row.strategy}, {row.task}, seed {row.seed}, {row.split}"
        seen[row.key] += 1
        if seen[row.key] == 2:
            yield f"{where}: given twice"
        if row.task not in specs:
            yield f"{where}: unknown task"
        elif row.primary != specs[row.task].primary:
            yield f"{where}: judged by {row.primary!r} instead of {specs[row.task].primary!r}"
        else:
            yield from (f"{where}: {problem}" for problem in detail_problems(specs[row.task], row.details))
