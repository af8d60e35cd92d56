"""Names of all tasks and their rules, without loading any."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ciao_stream.exceptions import CiaoError, DataError, MissingDataError, UnknownNameError
from ciao_stream.runtime.plugins import load_plugin, plugin_names

WORLDS: tuple[str, ...] = ("affectnet", "affectnet-va", "fer", "ferplus", "jaffe", "emoreact")
"""The synthetic worlds."""

OWN: dict[str, str] = {"folder": "folder:DIR", "csv": "csv:FILE"}
"""Tasks from a user's own faces, and how to write them; the path takes the place of a rule."""


LAYOUTS: dict[str, str] = {
    "folder": "DIR/{train,validation,test}/CLASS/* (validation is optional) or DIR/CLASS/*",
    "csv": "a csv file with a column file, and targets as docs/datasets.md describes",
}
"""What is expected of a user's own faces."""


def real_task_names() -> list[str]:
    """Return the tasks that can be read from a data root."""
    return plugin_names("benchmarks.datasets")


def task_names() -> list[str]:
    """Return the names of all tasks: data sets and synthetic worlds."""
    return sorted({*real_task_names(), *WORLDS})


def split_rule(task: str) -> tuple[str, str | None]:
    """Split ``NAME:RULE`` (or ``folder:DIR``, ``csv:FILE``) at its first colon; the rule is None if not given.

    >>> split_rule("ferplus:majority"), split_rule("fer")
    (('ferplus', 'majority'), ('fer', None))
    """
    name, _, rule = task.partition(":")
    return name, rule or None


def task_name(task: str) -> str:
    """Return the name that a task has in results: that of the data set, or of the user's folder or file.

    >>> task_name("ferplus:majority"), task_name("csv:faces/mine.csv")
    ('ferplus', 'mine')
    """
    name, rule = split_rule(task)
    if name not in OWN or rule is None:
        return name
    path = Path(rule)
    if name == "csv":
        return path.stem
    return path.resolve().name if path.name in ("", "..") else path.name


def check_task(task: str, data_root: Path | None) -> None:
    """Refuse a task that :func:`benchmarks.tasks.load_task` could not find; no image or table is read.

    Raises:
        UnknownNameError: There is no such task or rule.
        DataError: The data root, or the folder or file of the user's own faces, is missing.
        CiaoError: The task is not available from that source.
    """
    name, rule = split_rule(task)
    if name in OWN:
        if not rule:
            raise CiaoError(f"task {name!r}: give the path of your faces: {OWN[name]}")
        path = Path(rule)
        if name == "csv" and path.is_dir():
            raise DataError(f"{path} is a folder; for a folder of images use folder:{path}")
        if name == "folder" and path.is_file():
            raise DataError(f"{path} is not a folder; for a csv file use csv:{path}")
        if not path.exists():
            raise MissingDataError(f"there is no {'file' if name == 'csv' else name} {path}; expected {LAYOUTS[name]}")
    elif name not in task_names():
        raise UnknownNameError("task", name, [*task_names(), *OWN.values()])
    elif data_root is None and name not in WORLDS:
        raise CiaoError(f"task {name!r} has no synthetic world: give --data-root")
    elif data_root is None and rule:
        raise CiaoError(f"task {task!r}: a synthetic world has no label rules; give --data-root or omit :{rule}")
    elif data_root is not None and not data_root.is_dir():
        raise DataError(
            f"data root {data_root} is not a folder: give the folder that holds the data sets to --data-root"
        )
    elif rule:
        chosen_rule(rule, load_plugin("benchmarks.datasets", name, "task").RULES)


def chosen_rule(rule: str | None, rules: Sequence[str]) -> str:
    """Return the given rule, or the first one if ``rule`` is None.

    Raises:
        UnknownNameError: There is no such rule.

    >>> chosen_rule(None, ("majority", "argmax"))
    'majority'
    """
    if rule is None:
        return rules[0]
    if rule not in rules:
        raise UnknownNameError("label rule", rule, rules)
    return rule
