"""What every command that trains on tasks has: its tasks, their data, and where to compute and to save."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

from benchmarks.names import check_task, task_name
from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.device import torch_device
from ciao_stream.runtime.folders import data_root, default_cache
from ciao_stream.runtime.options import from_json, given, option, to_json, validate

NO_OPTIONS = ("out", "resume", "record")
"""Fields that :func:`ciao_stream.runtime.options.add_options` gives no option, and that are not recorded."""


@dataclass(frozen=True)
class TaskPlan:
    """What to train on, and where. Wrong names are refused before anything heavy is imported.

    Args:
        tasks: Tasks, in this order: NAME, NAME:RULE, folder:DIR or csv:FILE.
        data_root: Folder that holds the data sets. Without it (and $CIAO_DATA_ROOT) the tasks are synthetic worlds.
        limit: At most N training faces per task; other splits are reduced by the same factor.
        device: Where to compute.
        cache: Folder of encoded faces.
        out: Folder of the results.
        resume: Whether to resume the run in ``out``.
        record: The options of the command as JSON, for ``run.json``.

    Raises:
        CiaoError: A task does not exist or is given twice, or a value is out of range.
    """

    tasks: tuple[str, ...] = ()
    data_root: Path | None = option(None, metavar="DIR", read=str, shown="$CIAO_DATA_ROOT, else synthetic worlds")
    limit: int | None = option(None, least=2, shown="all")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    cache: Path | None = option(None, metavar="DIR", shown="$CIAO_CACHE or ~/.cache/ciao_stream")
    out: Path = Path()
    resume: bool = False
    record: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        validate(self)
        for named in (self.tasks, self.names):  # as typed, and by two rules
            check_all("task", "--tasks, such as --tasks fer,jaffe", named)
        for task in self.tasks:
            check_task(task, self.data_root)

    @property
    def names(self) -> list[str]:
        """The names that the tasks have in results."""
        return [task_name(task) for task in self.tasks]

    @classmethod
    def read(cls, options: argparse.Namespace, out: Path, before: Mapping[str, Any], **more: Any) -> Self:
        """Return the plan that options make; its device is still as it was given.

        Args:
            options: As read by a parser with the options of this class.
            out: The folder of the results.
            before: Values for options that are not given: those that the run to resume recorded, or other defaults.
            more: Fields that are given in another form than the options'.

        Raises:
            CiaoError: A name or value is wrong.
        """
        asked = given(options, cls) | {"out": out} | more
        if "data_root" in asked or "data_root" not in before:
            root = data_root(asked.get("data_root"))
            asked["data_root"] = None if root is None else root.absolute()
        plan = from_json(cls, {**before, **asked}, "option")
        record = {name: value for name, value in to_json(plan).items() if name not in NO_OPTIONS}
        return replace(plan, cache=plan.cache or default_cache(out), record=record)

    def on_device(self) -> Self:
        """Return the plan with a device that torch has; raise a CiaoError if it lacks the one that was given."""
        device: Any = torch_device(self.device)
        return replace(self, device=device)


def add_run_options(parser: argparse.ArgumentParser, command: str) -> None:
    """Add ``--out`` and ``--resume``."""
    out = f"Folder of the results (default: runs/{command}-TIME)"
    parser.add_argument("--out", type=Path, metavar="DIR", help=out)
    resume = "Resume the run in --out with the options that it recorded"
    parser.add_argument("--resume", action="store_true", help=resume)


def check_all(what: str, flag: str, names: Sequence[str], check: Callable[[str], object] = str) -> None:
    """Refuse the names of an option if there is none, if one is given twice, or if ``check`` refuses one."""
    if not names:
        raise CiaoError(f"no {what} given: name one with {flag}")
    if twice := {name for name in names if names.count(name) > 1}:
        raise CiaoError(f"{what} {min(twice)!r} is given twice")
    for name in names:
        check(name)
