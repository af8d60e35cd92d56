"""``online-logistic``: River's logistic regression on frozen features; it predicts each face, then learns it."""

from strategies.base import Runner

TAKES_MASK = False


def strategy() -> Runner:
    from strategies.base.online import online_baseline

    return online_baseline("logistic")
