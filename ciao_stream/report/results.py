"""The results document: everything a benchmark found, in one JSON file whose fields ``docs/results.md`` describes."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import TaskData
from ciao_stream.report.columns import run_columns
from ciao_stream.report.rows import RunRow
from ciao_stream.report.summary import summarise
from ciao_stream.report.table import build_table, judged_split, to_markdown
from ciao_stream.report.validate import FORMAT, check_document
from ciao_stream.runtime.atomic import write_text
from ciao_stream.runtime.versions import installed_packages, installed_version

__all__ = [
    "FORMAT",
    "RunRow",
    "build_document",
    "describe_environment",
    "describe_task",
    "read_results",
    "write_results",
]

_NUMBERS = re.compile(r"\[\n\s+(?:-?[\d.eE+-]+|null)(?:,\n\s+(?:-?[\d.eE+-]+|null))*\n\s+\]")
"""A list of numbers in indented JSON; no text there holds a line end."""

Document = dict[str, Any]
"""A results document: plain JSON values, no NaN."""


def describe_environment(device: str, precision: str) -> dict[str, Any]:
    """Return what the numbers depend on apart from the data: versions, processors, device and precision.

    Args:
        device: Where training ran, ``cpu`` or ``cuda (NAME)``.
        precision: Type of the arithmetic (``float32``, ``bfloat16 autocast``).
    """
    return {
        "python": platform.python_version(),
        "torch": installed_version("torch"),
        "avalanche": installed_version("avalanche-lib"),
        "cpu_count": os.cpu_count(),
        "platform": platform.platform(),
        "device": device,
        "precision": precision,
        "packages": installed_packages(),
    }


def describe_task(data: TaskData, runs: int = 1) -> dict[str, Any]:
    """Return the entry of ``tasks``: the spec, how labels and splits were made, and what is in the splits.

    Args:
        data: The task; of a cross-validation, the numbers are those of its first fold.
        runs: Number of runs: run i learns fold i modulo the number of folds.
    """
    splits = data.splits()
    folds = [data.of_run(run) for run in range(runs)] if data.folds else []
    return {
        **data.spec.to_json(),
        "source": "synthetic" if any(split.source == "synthetic" for split in splits) else "real",
        "samples": {split.split: len(split) for split in splits},
        "counts": {split.split: split.counts() for split in splits},
        "label_rule": {split.split: split.label_rule for split in splits},
        "dropped": {split.split: dict(split.dropped) for split in splits},
        "detection": {split.split: dict(split.detection) for split in splits if split.detection},
        "protocol": data.protocol,
        "folds": {"of": len(data.folds), "held_out": [fold.fold for fold in folds]} if folds else None,
        "shared_subjects": _shared_subjects(folds or [data]),
    }


def _shared_subjects(folds: Sequence[TaskData]) -> list[str] | None:
    """Return the people in both train and test of any fold; None if the data set does not name people."""
    shared = [fold.shared_subjects() for fold in folds]
    return None if None in shared else sorted({name for names in shared for name in names or []})


def build_document(
    *,
    command: Sequence[str],
    environment: Mapping[str, Any],
    encoder: Mapping[str, Any],
    tasks: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    rows: Iterable[RunRow],
    matrices: Mapping[str, Mapping[int, npt.ArrayLike]],
    not_run: Sequence[Mapping[str, str]] = (),
    shared_images: Sequence[Mapping[str, Any]] | None = None,
) -> Document:
    """Put a results document together; the summary is computed here.

    Args:
        command: The arguments of the command, program name first.
        environment: From :func:`describe_environment`.
        encoder: ``name``, ``fingerprint``, ``parameters`` (number) and ``weights`` (where they came from).
        tasks: From :func:`describe_task`, in the order of training.
        settings: Everything that was chosen (``epochs``, ``preset``, learning rates, ...), JSON values.
        rows: All runs.
        matrices: R float (T + 1, T) of the primary metrics on the judged split, by strategy and seed; columns in the
            order of ``tasks``; NaN where not evaluated, as in the whole column of a task that was not run.
        not_run: ``{strategy, task, reason}`` for each cell that stays empty.
        shared_images: From :func:`ciao_stream.benchmark.sharing.shared_images`; None if it was not checked.

    Raises:
        CiaoError: The parts do not fit together; one message names every problem.
    """
    rows = list(rows)
    nested = {
        strategy: {str(seed): _nested(matrix) for seed, matrix in by_seed.items()}
        for strategy, by_seed in matrices.items()
        if by_seed
    }
    document: Document = {
        "format": FORMAT,
        "command": list(command),
        "environment": dict(environment),
        "encoder": dict(encoder),
        "tasks": [dict(task) for task in tasks],
        "settings": dict(settings),
        "runs": [row.to_json() for row in rows],
        "matrices": nested,
        "not_run": [dict(cell) for cell in not_run],
        "summary": [],
        **({} if shared_images is None else {"shared_images": [dict(one) for one in shared_images]}),
    }
    check_document(document)
    document["summary"] = summarise(rows, nested, judged_split(document))
    return document


def write_results(document: Document, out_dir: str | os.PathLike[str]) -> list[Path]:
    """Write ``results.json``, ``results.csv`` and ``table.md`` into ``out_dir``, each whole or not at all.

    Returns:
        The three paths, in that order.

    Raises:
        CiaoError: The document is not valid, or a file cannot be written.
    """
    check_document(document)
    try:
        text = _NUMBERS.sub(_on_one_line, json.dumps(document, indent=1, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise CiaoError(f"the results cannot be written as JSON: {error}") from error
    out = Path(out_dir)
    contents = {
        "results.json": text + "\n",
        "results.csv": _csv(document),
        "table.md": to_markdown(build_table(document)),
    }
    for name, content in contents.items():
        write_text(out / name, content)
    return [out / name for name in contents]


def read_results(path: str | os.PathLike[str]) -> Document:
    """Read and check a ``results.json``.

    Raises:
        CiaoError: The file is missing, not JSON, of another version, or inconsistent.
    """
    try:
        document: Document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise CiaoError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise CiaoError(f"{path} is not JSON: {error}") from error
    try:
        check_document(document)
    except CiaoError as error:
        raise CiaoError(f"{path}: {error}") from error
    return document


def _csv(document: Document) -> str:
    """One line per run; numbers as in the JSON, an undefined one as an empty field."""
    tasks = {task["name"]: task for task in document["tasks"]}
    names = list(dict.fromkeys(name for run in document["runs"] for name in run["metrics"]))
    head = ["strategy", "task", "kind", "source", "seed", "split", "n", "primary"]
    tail = [*(column.key for column in run_columns(document["runs"])), "state_sha256"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*head, *names, *tail])
    for run in document["runs"]:
        fields = {**tasks[run["task"]], **run, **run["metrics"]}
        writer.writerow([fields.get(name) for name in [*head, *names, *tail]])
    return text.getvalue()


def _on_one_line(numbers: re.Match[str]) -> str:
    return re.sub(r"\n\s*", "", numbers[0].replace(",\n", ", \n"))


def _nested(matrix: npt.ArrayLike) -> list[list[float | None]]:
    values = np.asarray(matrix, dtype=np.float64).tolist()
    if not isinstance(values, list) or not all(isinstance(row, list) for row in values):
        raise CiaoError("matrix R: expected two dimensions")
    return [[None if value != value else value for value in row] for row in values]
