"""``python -m ciao_stream.data``: check data sets, fetch weights."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ciao_stream.data import weights as weights_command
from ciao_stream.runtime.command import CHECK_FAILED, DONE, output_console, run_command
from ciao_stream.runtime.folders import default_out
from ciao_stream.runtime.options import Parser, names

MODULE = "ciao_stream.data"


def parser() -> argparse.ArgumentParser:
    """Describe the commands and their options."""
    p = Parser(prog=f"python -m {MODULE}", description="Check data sets, or fetch third-party weights.")
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")
    check = commands.add_parser(
        "check",
        help="check the data sets, or class folders, in a folder: decode every image, report errors",
        description="Find the data sets in a folder, or its class folders, compare counts with the published numbers, "
        "decode every image, and search for duplicate faces within and across splits and tasks, and for people in both "
        "train and test.",
        epilog="Exit codes: 0 nothing wrong, 1 something wrong, 2 bad usage, 130 interrupted.",
    )
    check.add_argument("root", type=Path, metavar="DIR", help="Folder that holds data sets or class folders")
    check.add_argument(
        "--tasks",
        type=names,
        metavar="NAME,NAME",
        help="Tasks: NAME, NAME:RULE, folder:DIR or csv:FILE (default: all found)",
    )
    check.add_argument("--out", type=Path, metavar="DIR", help="Folder for check.json (default: runs/data-check-TIME)")
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
        from ciao_stream.runtime.console import ConsoleProgress

        if options.tasks == ():
            raise CiaoError("--tasks needs at least one task")
        document = check(options.root, options.tasks, [MODULE, *argv], ConsoleProgress())
        write_text(out / "check.json", json.dumps(document, indent=1, allow_nan=False) + "\n")
        shown = output_console(highlight=False)
        shown.print(view.to_rich(document))
        for line in (*view.facts(document), "", *view.findings(document), "", view.summary(document)):
            shown.print(line, markup=False, soft_wrap=True)
        shown.print(f"report: {out / 'check.json'}", markup=False, soft_wrap=True)
        return DONE if document["verdict"] == "nothing wrong" else CHECK_FAILED

    return run_command(body, lambda: None)


if __name__ == "__main__":
    sys.exit(main())
