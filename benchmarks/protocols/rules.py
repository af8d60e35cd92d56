"""The rule after a task's colon: how its labels and splits are made."""

from __future__ import annotations

from collections.abc import Sequence

from ciao_stream.exceptions import UnknownNameError


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
