"""``slda``: streaming linear discriminant analysis, each face seen once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategies.base.sequence import Runner

TAKES_MASK = False


def strategy() -> Runner:
    """Return the strategy."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from strategies.base.estimators import StreamingLDAClassifier
    from strategies.base.frozen import FrozenFeatures

    return FrozenFeatures({"categorical": lambda: make_pipeline(StandardScaler(), StreamingLDAClassifier())})
