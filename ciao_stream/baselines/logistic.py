"""River's logistic regressions on standardised features, one against the rest for each class."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from river.linear_model import LogisticRegression
from river.multiclass import OneVsRestClassifier
from river.optim import SGD
from river.utils import VectorDict

from ciao_stream.baselines._river import Floats, RiverLearner, named

RATE = 0.001
"""Learning rate, the same as in :mod:`ciao_stream.baselines.softmax`."""


class Logistic(RiverLearner):
    """``StandardScaler | OneVsRestClassifier(LogisticRegression)``."""

    def fresh(self) -> OneVsRestClassifier:
        """See :class:`RiverLearner`."""
        return OneVsRestClassifier(LogisticRegression(SGD(RATE)))

    def weights(self) -> Mapping[int, Floats]:
        """See :class:`RiverLearner`; the last number is the intercept."""
        models = self.model.classifiers.items()
        return {label: np.array([*one.weights.values(), one.intercept]) for label, one in models}

    def restore(self, weights: Mapping[int, Floats]) -> None:
        """See :class:`RiverLearner`."""
        for label, row in weights.items():
            model = self.model.classifier.clone()
            model._weights, model.intercept = VectorDict(named(row[:-1])), float(row[-1])
            self.model.classifiers[label] = model


make = Logistic
