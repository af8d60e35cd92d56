"""``ncm``: the class whose mean feature is nearest, each feature in units of its deviation within classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategies.base.sequence import Runner

TAKES_MASK = False


def strategy() -> Runner:
    """Return the strategy."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from strategies.base.estimators import NearestMean
    from strategies.base.frozen import FrozenFeatures

    return FrozenFeatures({"categorical": lambda: make_pipeline(StandardScaler(), NearestMean())})
