"""``majority``: always the most frequent class, or the mean of arousal and valence; a floor for all others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategies.base.sequence import Runner

TAKES_MASK = False


def strategy() -> Runner:
    """Return the strategy."""
    from sklearn.dummy import DummyClassifier, DummyRegressor
    from sklearn.multiclass import OneVsRestClassifier

    from strategies.base.frozen import FrozenFeatures

    def prior() -> DummyClassifier:
        return DummyClassifier(strategy="prior")

    return FrozenFeatures(
        {"categorical": prior, "multilabel": lambda: OneVsRestClassifier(prior()), "dimensional": DummyRegressor}
    )
