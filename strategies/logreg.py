"""``logreg``: logistic regression on frozen features; ridge regression for arousal and valence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ciao_stream.faces.task import Kind
from strategies.base.frozen import FrozenFeatures

C = 0.01
"""Inverse of the L2 penalty, on standardised features."""


def _logistic() -> LogisticRegression:
    return LogisticRegression(C=C, max_iter=200)


ESTIMATORS: Mapping[Kind, Callable[[], Any]] = {
    "categorical": lambda: make_pipeline(StandardScaler(), _logistic()),
    "multilabel": lambda: make_pipeline(StandardScaler(), OneVsRestClassifier(_logistic())),
    "dimensional": lambda: make_pipeline(StandardScaler(), Ridge(alpha=1 / C)),
}
"""By kind of task."""

STRATEGY = FrozenFeatures(ESTIMATORS)
