"""The task of frames without labels: the task of a known data set, or one with labels of your own."""

from __future__ import annotations

from benchmarks.names import real_task_names
from benchmarks.synthetic.readings import SPECS
from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.faces.task import Kind, TaskSpec
from ciao_stream.runtime.plugins import load_plugin


def read_task(text: str, kind: Kind | None = None) -> TaskSpec:
    """Return the task that a text names; no data set is read.

    Args:
        text: ``NAME`` of a data set, or ``NAME=LABEL,LABEL,...`` for a task of your own.
        kind: Kind of target of your own task; None: ``categorical``.

    Raises:
        UnknownNameError: There is no such task, or kind.
        CiaoError: The labels do not make a task, or a kind is given for a known task.

    >>> read_task("mood=calm,glad").labels
    ('calm', 'glad')
    """
    name, own, labels = text.partition("=")
    if own:
        return TaskSpec(name.strip(), kind or "categorical", tuple(label.strip() for label in labels.split(",")))
    if kind is not None:
        raise CiaoError(f"task {name!r} has a kind of target already: omit --kind, or give labels: NAME=LABEL,LABEL")
    known = known_specs()
    if name not in known:
        raise UnknownNameError("task", name, [*known, "NAME=LABEL,LABEL,..."])
    return known[name]


def known_specs() -> dict[str, TaskSpec]:
    """Return the tasks of all data sets whose labels are known without their files, by name."""
    modules = {name: load_plugin("benchmarks.datasets", name, "task") for name in real_task_names()}
    found = {name: module.SPEC for name, module in modules.items() if hasattr(module, "SPEC")}
    return dict(sorted({**SPECS, **found}.items()))
