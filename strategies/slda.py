"""``slda``: streaming linear discriminant analysis, each face seen once."""

from strategies.base import Runner

TAKES_MASK = False


def strategy() -> Runner:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from strategies.base.estimators import StreamingLDAClassifier
    from strategies.base.frozen import FrozenFeatures

    return FrozenFeatures({"categorical": lambda: make_pipeline(StandardScaler(), StreamingLDAClassifier())})
