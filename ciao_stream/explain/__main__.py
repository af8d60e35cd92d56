"""``python -m ciao_stream.explain``: where the worlds of a finished run look, and what their masks do."""

from __future__ import annotations

import sys
from pathlib import Path

from ciao_stream.explain.options import Request
from ciao_stream.report.embed import FOLDER
from ciao_stream.runtime.command import output_console, run_command
from ciao_stream.runtime.options import Parser, add_options, given

MODULE = "ciao_stream.explain"


def parser() -> Parser:
    """Describe the options."""
    p = Parser(
        prog=f"python -m {MODULE}",
        description="Show where the worlds of a finished benchmark look, how far they differ, what their masks let "
        "through, and whether the maps mean anything: figures, and explain.json with every number.",
    )
    add_options(p, Request, leave_out=("images", "out"))
    p.add_argument(
        "--images", nargs="+", type=Path, metavar="PATH", help="Image files or folders (default: faces of the run)"
    )
    p.add_argument("--out", type=Path, metavar="DIR", help=f"Folder of figures and numbers (default: RUN/{FOLDER})")
    return p


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    options = parser().parse_args(argv)

    def body() -> None:
        asked = given(options, Request)
        asked["images"] = tuple(asked.get("images", ()))
        request = Request(**{"out": options.run / FOLDER, **asked})

        from ciao_stream.explain.run import run
        from ciao_stream.explain.summary import to_rich, warning
        from ciao_stream.runtime.console import ConsoleProgress

        document = run(request, [MODULE, *argv], ConsoleProgress())
        shown = output_console()
        shown.print(to_rich(document))
        if (beware := warning(document)) is not None:
            shown.print(beware, style="bold", soft_wrap=True)
        shown.print(f"figures and numbers: {request.out}", soft_wrap=True)

    return run_command(body, lambda: None)


if __name__ == "__main__":
    sys.exit(main())
