"""What the commands of all methods share: options, how a run begins, and how it ends."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from benchmarks.names import OWN, task_names
from ciao_stream.pretrain.plan import Plan
from ciao_stream.runtime.command import output_console, run_command, shell_line
from ciao_stream.runtime.device import torch_device
from ciao_stream.runtime.folders import data_root, default_cache, default_out
from ciao_stream.runtime.options import add_options, from_json, given, to_json, words
from ciao_stream.runtime.run_folder import begun, recorded_plan

if TYPE_CHECKING:
    from ciao_stream.pretrain.method import Method

MODULE = "ciao_stream.pretrain"
NO_OPTIONS = ("out", "resume", "record")
"""Fields that :func:`ciao_stream.runtime.options.add_options` gives no option."""


MethodPlan = TypeVar("MethodPlan", bound=Plan)


def add_method(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    kind: type[MethodPlan],
    method: Callable[[MethodPlan], Method],
    about: tuple[str, str],
) -> None:
    """Add the command of a method.

    Args:
        subparsers: Where to add it.
        name: The method's name.
        kind: Its plan.
        method: Makes the method of a plan.
        about: Its help and its description.
    """
    p = subparsers.add_parser(
        name,
        help=about[0],
        description=about[1],
        epilog="Without --data-root (nor $CIAO_DATA_ROOT) the tasks are synthetic worlds, and marked so everywhere. "
        f"Tasks: {', '.join([*task_names(), *OWN.values()])}.",
    )
    add_options(p, kind, leave_out=NO_OPTIONS)
    p.add_argument(
        "--out", type=Path, metavar="DIR", help=f"folder of the results (default: runs/pretrain-{name}-TIME)"
    )
    p.add_argument("--resume", action="store_true", help="resume the run in --out with the options that it recorded")
    p.set_defaults(main=lambda options: _main(options, name, kind, method))


def _main(
    options: argparse.Namespace, name: str, kind: type[MethodPlan], method: Callable[[MethodPlan], Method]
) -> int:
    """Run a method's command and return its exit code."""
    out: Path = options.out or default_out(f"pretrain-{name}")

    def hint() -> str | None:
        return shell_line(MODULE, [name, "--resume", "--out", str(out)]) if begun(out) else None

    def body() -> None:
        plan = _plan(options, out, kind)
        from ciao_stream.pretrain.training import run
        from ciao_stream.runtime.console import ConsoleProgress

        asked = words(kind, plan.record, leave_out=NO_OPTIONS, always=("epochs", "batch"))
        show = output_console(highlight=False).print
        command = shell_line(MODULE, [name, *asked, "--out", str(out)])
        progress = ConsoleProgress()
        remark = functools.partial(progress.console.print, soft_wrap=True, markup=False)
        show(run(plan, method(plan), command, progress, remark), soft_wrap=True)
        show(f"encoder and curves: {out}", soft_wrap=True)

    return run_command(body, hint)


def _plan(options: argparse.Namespace, out: Path, kind: type[MethodPlan]) -> MethodPlan:
    """Return the plan that options make, with those that the run to resume recorded.

    Raises:
        CiaoError: A name or value is wrong, or there is nothing to resume.
    """
    before = recorded_plan(options)
    asked = given(options, kind) | {"out": out}
    if "data_root" in asked or not before:
        root = data_root(asked.get("data_root"))
        asked["data_root"] = None if root is None else root.absolute()
    old = from_json(kind, before, "option") if before else None
    plan = kind(**{name: getattr(old, name) for name in before} | asked)
    record = {name: value for name, value in to_json(plan).items() if name not in NO_OPTIONS}
    device: Any = torch_device(plan.device)
    return replace(plan, device=device, cache=plan.cache or default_cache(out), record=record)
