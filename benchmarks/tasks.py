"""Loads a task by name, from disk or drawn."""

from __future__ import annotations

from pathlib import Path

from benchmarks.names import OWN, check_task, split_rule
from benchmarks.own import csv_file, folder
from benchmarks.synthetic import load as load_synthetic
from ciao_stream.faces.dataset import TaskData
from ciao_stream.runtime.expect import expect
from ciao_stream.runtime.plugins import load_plugin


def load_task(task: str, data_root: str | Path | None = None, *, sizes: dict[str, int] | None = None) -> TaskData:
    """Load one task, real or synthetic, never one instead of the other.

    Args:
        task: ``NAME`` or ``NAME:RULE``, where the rule determines how labels and splits are made; or ``folder:DIR`` or
            ``csv:FILE`` for a user's own faces, anywhere on disk.
        data_root: Folder that holds the data sets; None for the synthetic world of that name.
        sizes: Samples of each split of a synthetic world; None for its defaults.

    Raises:
        UnknownNameError: There is no such task or rule.
        DataError: Files of the task are missing or damaged.
        CiaoError: The task is not available from that source.
    """
    expect("task", task, str)
    expect("data_root", data_root, str, Path, type(None))
    root = None if data_root is None else Path(data_root)
    check_task(task, root)
    name, rule = split_rule(task)
    if name in OWN:
        return (folder if name == "folder" else csv_file).load(Path(str(rule)))
    if root is None:
        return load_synthetic(name, **(sizes or {}))
    return load_plugin("benchmarks.datasets", name, "task").load(root, rule)  # type: ignore[no-any-return]
