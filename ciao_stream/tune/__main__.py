"""``python -m ciao_stream.tune``: search for the best head, mask and training of each task."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from ciao_stream.benchmark.options import command_parser, plan_of
from ciao_stream.runtime.command import run_command, shell_line
from ciao_stream.runtime.folders import default_out
from ciao_stream.runtime.options import Parser, add_options, from_json, given, to_json
from ciao_stream.runtime.run_folder import begun, recorded_plan
from tuning.plan import DECIDED, MODULE, NO_OPTIONS, TunePlan


def parser() -> Parser:
    """Describe the options."""
    p = command_parser(
        MODULE,
        "Search for the best head, mask and training of each task over one frozen encoder, with tree-structured Parzen "
        "estimators. Trials are judged on validation, never on test.",
        "`python -m ciao_stream.benchmark --heads DIR/tuned.json` uses the best settings.",
        leave_out=DECIDED,
    )
    add_options(p, TunePlan, leave_out=NO_OPTIONS)
    return p


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = parser().parse_args(argv)
    out: Path = options.out or default_out("tune")

    def hint() -> str | None:
        return shell_line(MODULE, ["--resume", "--out", str(out)]) if begun(out) else None

    def body() -> None:
        plan = make_plan(options, out)
        from ciao_stream.runtime.console import ConsoleProgress
        from tuning.live import show_summary, watch
        from tuning.run import run

        page = run(plan, ConsoleProgress(), watch)
        show_summary(out, page)

    return run_command(body, hint)


def make_plan(options: argparse.Namespace, out: Path) -> TunePlan:
    """Return the plan of what :func:`parser` read.

    Raises:
        CiaoError: A name or value is wrong, or there is nothing to resume.
    """
    before = recorded_plan(options)
    shared = plan_of(options, out, before.get("plan", {}))
    plan = from_json(TunePlan, {**before, **given(options, TunePlan), "plan": shared}, "option")
    record = {name: value for name, value in to_json(plan).items() if name != "record"}
    record["space"] = str(plan.space.absolute())
    record["plan"] = {name: value for name, value in shared.record.items() if name not in DECIDED}
    return replace(plan, plan=shared.on_device(), record=record)


if __name__ == "__main__":
    sys.exit(main())
