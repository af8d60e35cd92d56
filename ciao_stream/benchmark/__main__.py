"""``python -m ciao_stream.benchmark``: train tasks one after another with several strategies, and compare them."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from ciao_stream.benchmark.options import command_parser, plan_of
from ciao_stream.benchmark.plan import MODULE, Plan
from ciao_stream.benchmark.suites import SUITES
from ciao_stream.runtime.command import run_command, shell_line
from ciao_stream.runtime.folders import default_out
from ciao_stream.runtime.options import Parser
from ciao_stream.runtime.run_folder import begun, recorded_plan
from strategies import strategy_names


def parser() -> Parser:
    """Describe the options."""
    suites = "; ".join(f"{name}: {suite.does}" for name, suite in SUITES.items())
    return command_parser(
        MODULE,
        "Train tasks one after another over one frozen face encoder, with several strategies, and compare them.",
        f"A suite sets its own strategies, seeds and split unless you give them. {suites}. "
        f"Strategies: {', '.join(strategy_names())}.",
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = parser().parse_args(argv)
    out: Path = options.out or default_out("benchmark")

    def hint() -> str | None:
        return shell_line(MODULE, ["--resume", "--out", str(out)]) if begun(out) else None

    def body() -> None:
        plan = make_plan(options, out)
        if plan.suite:
            importlib.import_module(f"ciao_stream.benchmark.suites.{plan.suite}.run").run(plan)
        else:
            from ciao_stream.benchmark.run import run, show
            from ciao_stream.runtime.console import ConsoleProgress

            show(run(plan, ConsoleProgress()), out)

    return run_command(body, hint)


def make_plan(options: argparse.Namespace, out: Path) -> Plan:
    """Return the plan of what :func:`parser` read.

    Raises:
        CiaoError: A name or value is wrong, or there is nothing to resume.
    """
    before = recorded_plan(options)
    if name := options.suite or before.get("suite"):
        suite = SUITES[name]
        before = {"strategies": suite.strategies, "seeds": suite.seeds, "judge_on": suite.judge_on, **before}
    plan = plan_of(options, out, before)
    if plan.resume:
        plan.check_kept()
    return plan.on_device()


if __name__ == "__main__":
    sys.exit(main())
