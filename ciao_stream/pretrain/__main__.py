"""``python -m ciao_stream.pretrain``: train an encoder, to be frozen afterwards and shared by all worlds."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

from benchmarks.names import OWN, task_names
from ciao_stream.benchmark.task_plan import NO_OPTIONS, add_run_options
from ciao_stream.pretrain.plan import CrsContPlan, PkPlan, Plan, SupervisedPlan
from ciao_stream.runtime.command import output_console, run_command, shell_line
from ciao_stream.runtime.folders import default_out
from ciao_stream.runtime.options import Parser, add_options, words
from ciao_stream.runtime.run_folder import begun, recorded_plan

MODULE = "ciao_stream.pretrain"


def parser() -> Parser:
    """Describe the methods and their options."""
    p = Parser(
        prog=f"python -m {MODULE}", description="Train an encoder, to be frozen afterwards and shared by all worlds."
    )
    methods = p.add_subparsers(required=True, metavar="METHOD")
    for kind in (CrsContPlan, PkPlan, SupervisedPlan):
        own = methods.add_parser(
            kind.name,
            help=kind.about[0],
            description=kind.about[1],
            epilog="Without --data-root and $CIAO_DATA_ROOT, the tasks are synthetic worlds and marked as such "
            f"everywhere. Tasks: {', '.join([*task_names(), *OWN.values()])}.",
        )
        add_options(own, kind, leave_out=NO_OPTIONS)
        add_run_options(own, f"pretrain-{kind.name}")
        own.set_defaults(kind=kind)
    return p


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = parser().parse_args(argv)
    kind: type[Plan] = options.kind
    out: Path = options.out or default_out(f"pretrain-{kind.name}")

    def hint() -> str | None:
        return shell_line(MODULE, [kind.name, "--resume", "--out", str(out)]) if begun(out) else None

    def body() -> None:
        plan = kind.read(options, out, recorded_plan(options)).on_device()
        from ciao_stream.pretrain.training import run
        from ciao_stream.runtime.console import ConsoleProgress

        asked = words(kind, plan.record, leave_out=NO_OPTIONS, always=("epochs", "batch"))
        show = output_console(highlight=False).print
        command = shell_line(MODULE, [kind.name, *asked, "--out", str(out)])
        progress = ConsoleProgress()
        remark = functools.partial(progress.console.print, soft_wrap=True, markup=False)
        show(run(plan, plan.method(), command, progress, remark), soft_wrap=True)
        show(f"encoder and curves: {out}", soft_wrap=True)

    return run_command(body, hint)


if __name__ == "__main__":
    sys.exit(main())
