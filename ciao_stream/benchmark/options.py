"""Options that the commands which train tasks share, and the plan that they make."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.names import OWN, task_names
from ciao_stream.benchmark.plan import NO_OPTIONS, Plan
from ciao_stream.encoders import LIBRARIES, encoder_names
from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.command import changes
from ciao_stream.runtime.device import torch_device
from ciao_stream.runtime.folders import data_root, default_cache
from ciao_stream.runtime.options import Parser, add_options, from_json, given, to_json
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
        epilog="Without --data-root (nor $CIAO_DATA_ROOT) the tasks are synthetic worlds, and marked so everywhere. "
        f"{epilog} Tasks: {', '.join([*task_names(), *OWN.values()])}. "
        f"Encoders: {encoders}, or a folder that pretrain wrote. Presets: {', '.join(PRESETS)}.",
    )
    add_options(p, Plan, leave_out=(*NO_OPTIONS, *leave_out))
    p.add_argument(
        "--set",
        dest="changes",
        action="append",
        metavar="NAME=VALUE",
        help="Replace one setting of the preset",
    )
    p.add_argument("--out", type=Path, metavar="DIR", help=f"Folder of the results (default: runs/{module[12:]}-TIME)")
    p.add_argument("--resume", action="store_true", help="Resume the run in --out with the options that it recorded")
    return p


def plan_of(
    options: argparse.Namespace, out: Path, before: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> Plan:
    """Return the plan that options make.

    Args:
        options: As read by a parser of :func:`command_parser`.
        out: The folder of the results.
        before: Recorded options of the run to resume; those that are given now replace them.
        defaults: Fields that have another default than the class.

    Raises:
        CiaoError: A name or value is wrong, or two options contradict each other.
    """
    asked = given(options, Plan) | {"out": out}
    if "changes" in asked:
        asked["changes"] = changes(asked["changes"])
        if "epochs" in asked and "epochs" in asked["changes"]:
            twice = f"--epochs {asked['epochs']} and --set epochs={asked['changes']['epochs']}"
            raise CiaoError(f"{twice}: give one of them")
    if asked.get("strategies") == ("all",):
        asked["strategies"] = tuple(strategy_names())
    if "data_root" in asked or not before:
        root = data_root(asked.get("data_root"))
        asked["data_root"] = None if root is None else root.absolute()
    old = from_json(Plan, dict(before), "option") if before else None
    plan = Plan(**{**(defaults or {}), **{name: getattr(old, name) for name in before}, **asked})
    record = {name: value for name, value in to_json(plan).items() if name not in ("out", "resume", "record")}
    if options.out is not None:
        record["out"] = str(out)
    if plan.heads is not None:
        record["heads"] = str(plan.heads.absolute())
    device: Any = torch_device(plan.device)
    return replace(plan, device=device, cache=plan.cache or default_cache(out), record=record)
