"""``majority``: always the most frequent class, or the mean of arousal and valence; what looking at faces must beat."""

from __future__ import annotations

from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.multiclass import OneVsRestClassifier

from strategies.base.frozen import FrozenFeatures


def _prior() -> DummyClassifier:
    return DummyClassifier(strategy="prior")


STRATEGY = FrozenFeatures(
    {"categorical": _prior, "multilabel": lambda: OneVsRestClassifier(_prior()), "dimensional": DummyRegressor}
)
