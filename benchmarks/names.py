"""Names of all tasks, to be had without loading any of them."""

from __future__ import annotations

from ciao_stream.runtime.plugins import plugin_names

WORLDS: tuple[str, ...] = ("affectnet", "affectnet-va", "fer", "ferplus", "jaffe", "emoreact")
"""The synthetic worlds."""

OWN: dict[str, str] = {"folder": "folder:DIR", "csv": "csv:FILE"}
"""Tasks from anyone's own faces, and how they are written: the path stands where others have a rule."""


def real_task_names() -> list[str]:
    """Return the tasks that can be read from a data root."""
    return plugin_names("benchmarks.datasets")


def task_names() -> list[str]:
    """Return every task that has a name: those on disk and the synthetic worlds."""
    return sorted({*real_task_names(), *WORLDS})


def split_rule(task: str) -> tuple[str, str | None]:
    """Split ``NAME:RULE`` (or ``folder:DIR``, ``csv:FILE``) at its first colon; the rule is None where none is given.

    >>> split_rule("ferplus:majority"), split_rule("fer")
    (('ferplus', 'majority'), ('fer', None))
    """
    name, _, rule = task.partition(":")
    return name, rule or None
