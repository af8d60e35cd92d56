"""``ncm``: the class whose mean feature is nearest, each feature in units of its deviation within classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from strategies.base.frozen import FrozenFeatures


class NearestMean(NearestCentroid):  # type: ignore[misc]
    """scikit-learn's, also where every class has a single face: there is no deviation then, and no unit."""

    def fit(self, x: npt.NDArray[Any], y: npt.NDArray[np.int64]) -> NearestMean:
        """Learn samples (N, n) with classes (N,)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            super().fit(x, y)
        if len(x) == len(self.classes_):
            self.within_class_std_dev_ = np.zeros(x.shape[1])
        return self


STRATEGY = FrozenFeatures({"categorical": lambda: make_pipeline(StandardScaler(), NearestMean())})
