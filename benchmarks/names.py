"""Names of all tasks, to be had without loading any of them."""

from __future__ import annotations

from collections.abc import Sequence

from ciao_stream.exceptions import UnknownNameError
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


def chosen_rule(rule: str | None, rules: Sequence[str]) -> str:
    """Return the rule that was asked for, the first one where none was.

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
