"""``python -m ciao_stream.report``: write the page of a finished benchmark or search again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ciao_stream.runtime.command import run_command
from ciao_stream.runtime.options import Parser

MODULE = "ciao_stream.report"


def parser() -> argparse.ArgumentParser:
    """Describe the options."""
    p = Parser(
        prog=f"python -m {MODULE}",
        description="Write report.html again from the files of a benchmark (results.json) or a search (tuned.json, "
        "trials.jsonl), with explanations and data checks that were added since.",
    )
    p.add_argument("runs", nargs="+", type=Path, metavar="DIR", help="Folder of a run, or of the runs of a suite")
    return p


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = parser().parse_args(argv)

    def body() -> None:
        from ciao_stream.runtime.command import output_console

        shown = output_console(highlight=False)
        for folder in options.runs:
            for path in write_again(folder):
                shown.print(f"report: {path}", markup=False, soft_wrap=True)

    return run_command(body, lambda: None)


def write_again(folder: Path) -> list[Path]:
    """Write the page of the run in a folder, or of every run in the folders just below it, and return the pages.

    Raises:
        CiaoError: The folder has no finished run, its files are damaged, or a page cannot be written.
    """
    from ciao_stream.exceptions import CiaoError

    for candidates in ([folder], sorted(path for path in folder.glob("*") if path.is_dir())):
        if written := [page for one in candidates if (page := _write(one))]:
            return written
    raise CiaoError(f"{folder}: expected the folder of a run, or of several, but found no results.json or trials.jsonl")


def _write(folder: Path) -> Path | None:
    if (folder / "results.json").exists():
        from ciao_stream.report.html.page import write_report
        from ciao_stream.report.results import read_results

        return write_report(read_results(folder / "results.json"), folder)
    if (folder / "trials.jsonl").exists():
        from ciao_stream.report.html.tuning import write_tuning_report

        return write_tuning_report(folder)
    return None


if __name__ == "__main__":
    sys.exit(main())
