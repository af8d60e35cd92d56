"""``python -m ciao_stream.data``: what there is to do before anything is learned: check data sets, fetch weights."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ciao_stream.data import weights as weights_command
from ciao_stream.runtime.command import CHECK_FAILED, DONE, default_out, names, output_console, run_command

if TYPE_CHECKING:
    from rich.progress import TaskID

MODULE = "ciao_stream.data"


def parser() -> argparse.ArgumentParser:
    """Describe the commands and their options."""
    p = argparse.ArgumentParser(prog=f"python -m {MODULE}", description="Look after data sets and weights.")
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")
    check = commands.add_parser(
        "check",
        help="find the data sets under a folder, decode every image, and say what is wrong",
        description="Find the data sets under a folder, count them against the published numbers, decode every image, "
        "and look for the same face within and across splits and tasks, and for people in both train and test.",
        epilog="Exit codes: 0 nothing is wrong, 1 something is, 2 bad usage, 130 interrupted.",
    )
    check.add_argument("root", type=Path, metavar="DIR", help="folder that holds the data sets")
    check.add_argument("--tasks", metavar="T,T", help="NAME, NAME:RULE, folder:DIR or csv:FILE (all that are there)")
    check.add_argument("--out", type=Path, metavar="DIR", help="where check.json goes (runs/data-check-TIME)")
    check.set_defaults(main=_check)
    weights = weights_command.add_parser(commands)
    weights.set_defaults(main=lambda options, _: weights_command.main(options))
    return p


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    options = parser().parse_args(argv)
    return options.main(options, argv)  # type: ignore[no-any-return]


def _check(options: argparse.Namespace, argv: list[str]) -> int:
    out: Path = options.out or default_out("data-check")

    def body() -> int:
        import json

        from ciao_stream.data.check import view
        from ciao_stream.data.check.run import check
        from ciao_stream.exceptions import CiaoError
        from ciao_stream.runtime.atomic import write_text

        asked = names(options.tasks) if options.tasks is not None else None
        if asked == []:
            raise CiaoError("no task given after --tasks")
        with _watching() as watch:
            document = check(options.root, asked, [MODULE, *argv], watch)
        write_text(out / "check.json", json.dumps(document, indent=1, allow_nan=False) + "\n")
        shown = output_console(highlight=False)
        shown.print(view.to_rich(document))
        for line in (*view.facts(document), "", *view.findings(document), "", view.summary(document)):
            shown.print(line, markup=False, soft_wrap=True)
        shown.print(f"report: {out / 'check.json'}", markup=False, soft_wrap=True)
        return DONE if document["verdict"] == "nothing wrong" else CHECK_FAILED

    return run_command(body, lambda: None)


@contextmanager
def _watching() -> Iterator[Callable[[str, int, int], None]]:
    """Show on stderr what is being done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bars: dict[str, TaskID] = {}

        def watch(what: str, done: int, total: int) -> None:
            name = what.partition(" ")[0]
            if name not in bars:
                bars[name] = progress.add_task(name, total=total)
            progress.update(bars[name], description=what, completed=done, total=total)

        yield watch


if __name__ == "__main__":
    sys.exit(main())
