"""Put a page together from its sections, and write it."""

from __future__ import annotations

import base64
import functools
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ciao_stream.report.html import answers, cost, faces, repeat, sequence, summary, training
from ciao_stream.report.html.pictures import find_pictures
from ciao_stream.report.html.values import Document, Results
from ciao_stream.report.table import synthetic_mark
from ciao_stream.runtime.atomic import write_text

NAME = "report.html"


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Args:
        id: Of the element, and of the template ``ID.html.j2``.
        title: Its heading.
        context: What the template needs.
    """

    id: str
    title: str
    context: dict[str, Any]


def write_report(document: Document, out_dir: str | os.PathLike[str]) -> Path:
    """Write ``report.html`` into a run's folder, whole or not at all.

    Args:
        document: The run's results; what a run of an earlier version lacks is omitted, and the page says so.
        out_dir: The folder. Figures of explanations and a data check found there become part of the page.

    Raises:
        CiaoError: The file cannot be written.
    """
    path = Path(out_dir) / NAME
    write_text(path, benchmark_page(document, Path(out_dir)))
    return path


def benchmark_page(document: Document, folder: Path | None = None) -> str:
    """Return the page of a benchmark; ``folder`` may hold figures and a data check."""
    results = Results(document)
    sections = [Section("summary", "Summary", summary.context(results))]
    if document["matrices"]:
        sections.append(Section("sequence", "One task after another", sequence.context(results)))
    sections += [
        Section("answers", "Task by task", answers.context(results)),
        Section("curves", "Learning curves", training.curves(results)),
        Section("cost", "Cost against accuracy", cost.context(results)),
        Section("calibration", "Calibration", training.calibration(results)),
        Section("explanations", "Explanations", {"pictures": find_pictures(folder) if folder else []}),
        Section("faces", "Data, duplicates and leaks", faces.context(results, folder)),
        Section("repeat", "Repeat it", repeat.context(document)),
    ]
    return render(summary.title(results), "benchmark", synthetic_mark(document), sections)


def render(title: str, kind: str, mark: str, sections: Sequence[Section]) -> str:
    """Return a page.

    Args:
        title: Its title.
        kind: What it reports on: ``benchmark``, ``tuning`` or a suite.
        mark: A note about the data (:func:`ciao_stream.report.table.synthetic_mark`), empty for real data.
        sections: Its parts, in order.
    """
    made = environment()
    parts = [
        (section, Markup(made.get_template(f"{section.id}.html.j2").render(section.context))) for section in sections
    ]
    style, script = (_source(name) for name in ("style.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = made.get_template("page.html.j2")
    return page.render(title=title, kind=kind, mark=mark, parts=parts, style=style, script=script, digest=digest)


@functools.cache
def environment() -> Environment:
    """Return what renders the templates: everything that is put into one is escaped."""
    return Environment(
        loader=PackageLoader("ciao_stream.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@functools.cache
def _source(name: str) -> Markup:
    """Return a file of the templates' folder as it is; it is a part of the package and trusted."""
    loader = environment().loader
    assert loader is not None
    return Markup(loader.get_source(environment(), name)[0])
