"""Options that the commands which train tasks share, and the plan that they make."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.names import OWN, task_names
from ciao_stream.benchmark.plan import Plan
from ciao_stream.benchmark.task_plan import NO_OPTIONS, add_run_options
from ciao_stream.encoders import LIBRARIES, encoder_names
from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.command import changes
from ciao_stream.runtime.options import Parser, add_options
from ciao_stream.worlds.settings import PRESETS
from strategies import strategy_names


def command_parser(module: str, description: str, epilog: str, leave_out: tuple[str, ...] = ()) -> Parser:
    """Return a parser with an option for each field of :class:`Plan`, ``--set``, ``--out`` and ``--resume``.

    Args:
        module: The command.
        description: What it does.
        epilog: Shown before the names that can be chosen.
        leave_out: Fields without an option.
    """
    encoders = ", ".join([*encoder_names(), *(f"{library}:NAME" for library in (*LIBRARIES, "weights", "random"))])
    p = Parser(
        prog=f"python -m {module}",
        description=description,
        epilog="Without --data-root and $CIAO_DATA_ROOT, the tasks are synthetic worlds and marked as such everywhere. "
        f"{epilog} Tasks: {', '.join([*task_names(), *OWN.values()])}. "
        f"Encoders: {encoders}, or a folder that pretrain wrote. Presets: {', '.join(PRESETS)}.",
    )
    add_options(p, Plan, leave_out=(*NO_OPTIONS, "changes", *leave_out))
    repeated = "Replace one setting of the preset; may be repeated"
    p.add_argument("--set", dest="changes", action="append", metavar="NAME=VALUE", help=repeated)
    add_run_options(p, module.removeprefix("ciao_stream."))
    return p


def plan_of(options: argparse.Namespace, out: Path, before: Mapping[str, Any]) -> Plan:
    """Return the plan that options make; its device is still as it was given.

    Args:
        options: As read by a parser of :func:`command_parser`.
        out: The folder of the results.
        before: Values for options that are not given.

    Raises:
        CiaoError: A name or value is wrong, or two options contradict each other.
    """
    more: dict[str, Any] = {}
    if options.changes:
        more["changes"] = changes(options.changes)
        if options.epochs and "epochs" in more["changes"]:
            twice = f"--epochs {options.epochs} and --set epochs={more['changes']['epochs']}"
            raise CiaoError(f"{twice}: give one of them")
    if "all" in (getattr(options, "strategies", None) or ()):
        if len(options.strategies) > 1:
            raise CiaoError("--strategies all names every strategy: omit the others")
        more["strategies"] = tuple(strategy_names())
    plan = Plan.read(options, out, before, **more)
    record = dict(plan.record)
    if options.out is not None:
        record["out"] = str(out)
    if plan.heads is not None:
        record["heads"] = str(plan.heads.absolute())
    return replace(plan, record=record)
