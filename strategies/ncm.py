"""``ncm``: the class whose mean feature is nearest, each feature in units of its deviation within classes."""

from strategies.base import Runner

TAKES_MASK = False


def strategy() -> Runner:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from strategies.base.frozen import FrozenFeatures, NearestMean

    return FrozenFeatures({"categorical": lambda: make_pipeline(StandardScaler(), NearestMean())})
