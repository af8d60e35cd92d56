"""``python -m ciao_stream.explain``: where the worlds of a finished run look, and what their masks do."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ciao_stream.report.embed import FOLDER
from ciao_stream.runtime.command import count, names, output_console, run_command

if TYPE_CHECKING:
    from ciao_stream.explain.run import Request

MODULE = "ciao_stream.explain"


def parser() -> argparse.ArgumentParser:
    """Describe the options."""
    p = argparse.ArgumentParser(
        prog=f"python -m {MODULE}",
        description="Show where the worlds of a finished benchmark look, how far they differ, what their "
        "masks let through, and whether the maps mean anything: figures, and explain.json with every number.",
    )
    p.add_argument(
        "--run", type=Path, required=True, metavar="DIR", help="results of a benchmark; or a folder of saved worlds"
    )
    p.add_argument("--images", nargs="+", type=Path, default=[], metavar="PATH", help="faces (those of the run)")
    p.add_argument("--crop", nargs="?", const="haar", metavar="D", help="cut --images to the face: haar or yunet:FILE")
    p.add_argument("--tasks", metavar="T,T", help="worlds of these tasks (all that the run left)")
    p.add_argument("--strategies", metavar="S,S", help="worlds of these strategies (all that left worlds)")
    p.add_argument(
        "--method", default="grad-cam++", metavar="M", help="grad-cam++, as the paper has it, grad-cam or hirescam"
    )
    p.add_argument("--label", metavar="L", help="explain this label (the answer; of arousal and valence, each)")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="which run of the benchmark (%(default)s)")
    p.add_argument("--faces", type=count, default=100, metavar="N", help="of each task, for numbers (%(default)s)")
    p.add_argument("--rows", type=count, default=5, metavar="N", help="faces drawn of each task (%(default)s)")
    p.add_argument(
        "--curve-faces", type=count, default=40, metavar="N", help="for deletion and insertion (%(default)s)"
    )
    p.add_argument("--data-root", metavar="DIR", help="folder that holds the data sets (that of the run's command)")
    p.add_argument("--encoder", metavar="E", help="name or folder of the run's encoder (that of its command)")
    p.add_argument("--out", type=Path, metavar="DIR", help=f"figures and numbers (RUN/{FOLDER})")
    p.add_argument("--device", default="auto", metavar="D", help="auto, cpu or cuda (%(default)s)")
    return p


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    options = parser().parse_args(argv)

    def body() -> None:
        from rich.console import Console

        from ciao_stream.explain.run import run
        from ciao_stream.explain.summary import to_rich, warning

        request = _request(options)
        document = run(request, [MODULE, *argv], Console(stderr=True))
        shown = output_console()
        shown.print(to_rich(document))
        if (beware := warning(document)) is not None:
            shown.print(beware, style="bold", soft_wrap=True)
        shown.print(f"figures and numbers: {request.out}", soft_wrap=True)

    return run_command(body, lambda: None)


def _request(options: argparse.Namespace) -> Request:
    from ciao_stream.explain.run import Request

    given: dict[str, Any] = vars(options)
    return Request(
        **given
        | {
            "out": options.out or options.run / FOLDER,
            "images": tuple(options.images),
            "tasks": None if options.tasks is None else tuple(names(options.tasks)),
            "strategies": None if options.strategies is None else tuple(names(options.strategies)),
        }
    )


if __name__ == "__main__":
    sys.exit(main())
