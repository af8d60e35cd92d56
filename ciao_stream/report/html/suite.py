"""The page of a suite: the tables that answer its question, its pictures, the runs behind them, how to repeat it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup, escape

from ciao_stream.report.html import repeat
from ciao_stream.report.html.page import Section, render
from ciao_stream.report.html.pictures import embed
from ciao_stream.report.html.values import Document, as_json
from ciao_stream.report.table import Cell, Table
from ciao_stream.runtime.atomic import write_text

NUMBER = re.compile(r"[<+]?(-?\d+(?:,\d{3})*(?:\.\d+)?)([kMGT]?)(?:(?: ±|, |–).+)?\W*")
"""A cell that is read as a number: of several the first, whatever marks follow."""

GAP = re.compile(r"(?:n/a)?\W*")
"""A cell without a number in a column of numbers."""

UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


@dataclass(frozen=True)
class Findings:
    """What a suite found, before it is rendered.

    Args:
        suite: The suite's name, after which its files are called.
        title: One line.
        mark: A note about the data (:func:`ciao_stream.report.table.synthetic_mark`), empty for real data.
        notes: Lines that say what the numbers of all tables are.
        tables: The results.
        document: ``command``, ``environment``, ``encoder`` (of several, an object each) and ``settings``, as in a
            results document.
        pictures: Titles of the PNG files in the suite's folder, by name.
        runs: What pages of single runs are about, by the path from the suite's folder.
    """

    suite: str
    title: str
    mark: str
    notes: Sequence[str]
    tables: Sequence[Table]
    document: Document
    pictures: Mapping[str, str] = field(default_factory=dict)
    runs: Mapping[str, str] = field(default_factory=dict)

    @property
    def heading(self) -> str:
        """The title, with the note about the data."""
        return self.marked(self.title)

    def marked(self, text: str) -> str:
        """Return a text, followed by the note about the data."""
        return f"{text} ({self.mark})" if self.mark else text


def write_suite_page(findings: Findings, folder: str | os.PathLike[str]) -> Path:
    """Write ``SUITE.html`` into the suite's folder, whole or not at all.

    Args:
        findings: What it shows.
        folder: Holds its figures and the folders of its runs.

    Raises:
        CiaoError: The file cannot be written.
    """
    path = Path(folder) / f"{findings.suite}.html"
    write_text(path, suite_page(findings, Path(folder)))
    return path


def suite_page(findings: Findings, folder: Path) -> str:
    """Return the page of a suite; it links to the pages of its runs by relative paths."""
    tables = {"notes": findings.notes, "tables": [_table(table) for table in findings.tables]}
    sections = [Section("tables", "Tables", tables)]
    if findings.pictures:
        files = ((findings.marked(title), (folder / name).read_bytes()) for name, title in findings.pictures.items())
        sections.append(Section("pictures", "Pictures", {"pictures": embed(files)}))
    if findings.runs:
        links = [(quote(path), about) for path, about in findings.runs.items()]
        sections.append(Section("runs", "Run by run", {"links": links}))
    again = repeat.context(findings.document, _files(findings, folder))
    sections.append(Section("repeat", "Repeat it", again))
    return render(findings.title, f"suite {findings.suite}", findings.mark, sections)


def _files(findings: Findings, folder: Path) -> Markup:
    name = findings.suite
    numbers = Markup(", every number in <code>{}.json</code>").format(name)
    return Markup("The same tables are in <code>{}.md</code>{}.").format(
        name, numbers if (folder / f"{name}.json").exists() else ""
    )


def _table(table: Table) -> dict[str, Any]:
    """Return what the template needs of a table; one in which rows belong to the row above them is not sorted."""
    columns = [[row[i].text for row in table.rows] for i in range(len(table.headings))]
    numbers = [all(NUMBER.fullmatch(text) or GAP.fullmatch(text) for text in column) for column in columns]
    return {
        "title": table.title,
        "notes": table.notes,
        "footnotes": table.footnotes,
        "sort": not any(text.startswith(" ") for text in columns[0]),
        "heads": [*zip(table.headings, numbers, strict=True)],
        "rows": [[_cell(cell, numeric) for cell, numeric in zip(row, numbers, strict=True)] for row in table.rows],
    }


def _cell(cell: Cell, numeric: bool) -> dict[str, Any]:
    text, spread, half = cell.text.partition(" ±")
    return {
        "text": Markup('{} <small class="pm">±{}</small>').format(text, half) if spread else escape(text),
        "classes": " ".join(
            name for name, holds in (("text", not numeric), ("best", cell.best), ("published", cell.published)) if holds
        ),
        "value": as_json(_value(text)) if numeric else None,
    }


def _value(text: str) -> float | None:
    """Return the number that a cell shows, None for a gap.

    >>> [_value(text) for text in ("61.8 ±0.9", "+5.3‡", "596k, 1.2M", "7.2k–8.2k", "4,321", "<0.001", "–°", "")]
    [61.8, 5.3, 596000.0, 7200.0, 4321.0, 0.001, None, None]
    """
    found = NUMBER.fullmatch(text)
    return float(found[1].replace(",", "")) * UNITS[found[2]] if found else None
