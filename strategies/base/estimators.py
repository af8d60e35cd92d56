"""Estimators for :class:`strategies.base.frozen.FrozenFeatures` that scikit-learn does not have, or not like this."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.neighbors import NearestCentroid

from ciao_stream.baselines.slda import SHRINKAGE, StreamingLDA
from strategies.base.frozen import BATCH, Floats


class NearestMean(NearestCentroid):  # type: ignore[misc]
    """scikit-learn's ``NearestCentroid``, also for classes of a single face, of which no deviation is defined."""

    def fit(self, x: npt.NDArray[Any], y: npt.NDArray[np.int64]) -> NearestMean:
        """Learn samples (N, n) with classes (N,)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            super().fit(x, y)
        if len(x) == len(self.classes_):
            self.within_class_std_dev_ = np.zeros(x.shape[1])
        return self


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
