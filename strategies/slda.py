"""``slda``: streaming linear discriminant analysis, each face seen once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ciao_stream.baselines.slda import SHRINKAGE, StreamingLDA
from strategies.base.frozen import BATCH, FrozenFeatures

Floats = npt.NDArray[np.float64]


class StreamingLDAClassifier(ClassifierMixin, BaseEstimator):
    """:class:`ciao_stream.baselines.slda.StreamingLDA` as an estimator of scikit-learn.

    Args:
        shrinkage: In (0, 1].
    """

    def __init__(self, shrinkage: float = SHRINKAGE) -> None:
        self.shrinkage = shrinkage

    def fit(self, x: npt.NDArray[Any], y: npt.NDArray[np.int64]) -> StreamingLDAClassifier:
        """Learn samples (N, n) with classes (N,), in their order."""
        model = StreamingLDA(x.shape[1], self.shrinkage)
        for start in range(0, len(x), BATCH):
            model.update(x[start : start + BATCH], y[start : start + BATCH])
        self.classes_ = model.classes
        self.coef_, self.intercept_ = model.classifier()
        return self

    def predict_proba(self, x: npt.NDArray[Any]) -> Floats:
        """Return the probability of each class, (N, K)."""
        probabilities: Floats = softmax(x @ self.coef_.T + self.intercept_, axis=1)
        return probabilities


STRATEGY = FrozenFeatures({"categorical": lambda: make_pipeline(StandardScaler(), StreamingLDAClassifier())})
