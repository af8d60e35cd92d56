"""The tables of a suite as text, on a page, and in the terminal."""

from __future__ import annotations

from pathlib import Path

from ciao_stream.report.html.suite import Findings, write_suite_page
from ciao_stream.report.table import to_markdown, to_rich
from ciao_stream.runtime.atomic import write_text
from ciao_stream.runtime.command import output_console, shell_line


def report(findings: Findings, out: Path) -> None:
    """Write ``SUITE.md`` and ``SUITE.html``, each whole or not at all, and print the tables.

    Args:
        findings: What the suite found.
        out: The suite's folder, which holds the figures already.

    Raises:
        CiaoError: A file cannot be written.
    """
    path = out / f"{findings.suite}.md"
    write_text(path, _markdown(findings))
    page = write_suite_page(findings, out)
    shown = output_console(highlight=False)
    for table in findings.tables:
        shown.print(to_rich(table))
    for note in findings.notes:
        shown.print(note, style="dim", markup=False, soft_wrap=True)
    shown.print(f"tables: {path}, {page}", markup=False, soft_wrap=True)


def _markdown(findings: Findings) -> str:
    module, *arguments = findings.document["command"]
    pictures = [f"![{title}]({name})" for name, title in findings.pictures.items()]
    parts = [
        f"# {findings.heading}",
        f"`{shell_line(module, arguments)}`",
        "\n".join(f"- {note}" for note in findings.notes),
        *pictures,
        *map(to_markdown, findings.tables),
    ]
    return "\n\n".join(filter(None, parts))
