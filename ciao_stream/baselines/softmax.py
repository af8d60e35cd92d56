"""River's softmax regression on standardised features."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from river.linear_model import SoftmaxRegression
from river.optim import SGD

from ciao_stream.baselines._river import Floats, RiverLearner, named

RATE = 0.001
"""Learning rate, chosen on the validation split of FER+ with ciao-face after 500 to 2,500 labels: better than 0.01,
Adam at 0.001 and AdaGrad at 0.01."""


class Softmax(RiverLearner):
    """``StandardScaler | SoftmaxRegression``."""

    def fresh(self) -> SoftmaxRegression:
        """See :class:`RiverLearner`."""
        return SoftmaxRegression(SGD(RATE))

    def weights(self) -> Mapping[int, Floats]:
        """See :class:`RiverLearner`."""
        return {label: np.array([*row.values()]) for label, row in self.model.weights.items()}

    def restore(self, weights: Mapping[int, Floats]) -> None:
        """See :class:`RiverLearner`."""
        for label, row in weights.items():
            self.model.weights[label] = defaultdict(float, named(row))


make = Softmax
