"""Names of all tasks and their rules, without loading any."""

from __future__ import annotations

from collections.abc import Sequence

from ciao_stream.exceptions import UnknownNameError
from ciao_stream.runtime.plugins import plugin_names

WORLDS: tuple[str, ...] = ("affectnet", "affectnet-va", "fer", "ferplus", "jaffe", "emoreact")
"""The synthetic worlds."""

OWN: dict[str, str] = {"folder": "folder:DIR", "csv": "csv:FILE"}
"""Tasks from a user's own faces, and how to write them; the path takes the place of a rule."""


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
