"""``majority``: always the most frequent class, or the mean of arousal and valence; a floor for all others."""

from strategies.base import Runner

TAKES_MASK = False


def strategy() -> Runner:
    from sklearn.dummy import DummyClassifier, DummyRegressor
    from sklearn.multiclass import OneVsRestClassifier

    from strategies.base.frozen import FrozenFeatures

    def prior() -> DummyClassifier:
        return DummyClassifier(strategy="prior")

    return FrozenFeatures(
        {"categorical": prior, "multilabel": lambda: OneVsRestClassifier(prior()), "dimensional": DummyRegressor}
    )
