"""``slda``: streaming linear discriminant analysis, each face seen once."""

from strategies.base import Runner

TAKES_MASK = False


def strategy() -> Runner:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from strategies.base.frozen import FrozenFeatures, StreamingLDAClassifier

    return FrozenFeatures({"categorical": lambda: make_pipeline(StandardScaler(), StreamingLDAClassifier())})
