"""``online-logistic``: River's logistic regression on frozen features; it predicts each face, then learns it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategies.base.sequence import Runner

TAKES_MASK = False


def strategy() -> Runner:
    """Return the strategy."""
    from strategies.base.online_baseline import online_baseline

    return online_baseline("logistic")
