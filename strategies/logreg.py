"""``logreg``: logistic regression on frozen features; ridge regression for arousal and valence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ciao_stream.faces.task import Kind
    from strategies.base import Runner

TAKES_MASK = False

C = 0.01
"""Inverse of the L2 penalty, on standardised features."""


def linear_models() -> Mapping[Kind, Callable[[], Any]]:
    """Return what makes an unfitted linear model, by kind of task."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def logistic() -> LogisticRegression:
        return LogisticRegression(C=C, max_iter=200)

    return {
        "categorical": lambda: make_pipeline(StandardScaler(), logistic()),
        "multilabel": lambda: make_pipeline(StandardScaler(), OneVsRestClassifier(logistic())),
        "dimensional": lambda: make_pipeline(StandardScaler(), Ridge(alpha=1 / C)),
    }


def strategy() -> Runner:
    from strategies.base.frozen import FrozenFeatures

    return FrozenFeatures(linear_models())
