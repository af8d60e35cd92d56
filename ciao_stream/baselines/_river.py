"""Base class of the baselines from River: features by index, standardised by the samples so far."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from river.preprocessing import StandardScaler
from torch import Tensor

from ciao_stream.baselines import Features
from ciao_stream.runtime.state import State

Floats = npt.NDArray[np.float64]


class RiverLearner(ABC):
    """A scaler and a linear model from River, with one row of weights per class seen so far.

    Args:
        n_features: Features per face.
        n_classes: Classes of the task; a class without a sample is never predicted.
    """

    def __init__(self, n_features: int, n_classes: int) -> None:
        self.n_features, self.n_classes = n_features, n_classes
        self.scaler, self.model = StandardScaler(), self.fresh()

    @abstractmethod
    def fresh(self) -> Any:
        """Return a model that has learned nothing."""

    @abstractmethod
    def weights(self) -> Mapping[int, Floats]:
        """Return the weights of each class, (n,), in the order in which the classes appeared."""

    @abstractmethod
    def restore(self, weights: Mapping[int, Floats]) -> None:
        """Set the weights of a fresh model."""

    def outputs(self, x: Features) -> Floats:
        """See :class:`ciao_stream.baselines.Baseline`; the outputs are logarithms of probabilities."""
        probabilities = np.zeros((len(x), self.n_classes))
        for row, face in zip(probabilities, x, strict=True):
            known = self.model.predict_proba_one(self.scaler.transform_one(named(face)))
            row[[*known]] = [*known.values()]
        return np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))

    def learn(self, x: Features, y: int) -> None:
        """See :class:`ciao_stream.baselines.Baseline`."""
        face = named(x)
        self.scaler.learn_one(face)
        self.model.learn_one(self.scaler.transform_one(face), y)

    def settle(self) -> None:  # noqa: B027  (complete, not abstract)
        """See :class:`ciao_stream.baselines.Baseline`: nothing is buffered."""

    def state(self) -> State:
        """See :class:`ciao_stream.baselines.Baseline`."""
        seen, weights = self.scaler.counts[0], self.weights()
        statistics = {"means": _row(self.scaler.means), "vars": _row(self.scaler.vars)} if seen else {}
        rows = {f"weights{label}": torch.from_numpy(row) for label, row in weights.items()}
        return State.of({"seen": seen, "classes": [*weights]}, statistics | rows)

    def load(self, state: State) -> None:
        """See :class:`ciao_stream.baselines.Baseline`."""
        seen, tensors = state.values["seen"], state.tensors
        self.scaler, self.model = StandardScaler(), self.fresh()
        if seen:
            statistics = (named(tensors[name].numpy()) for name in ("means", "vars"))
            self.scaler = StandardScaler._from_state(dict.fromkeys(range(self.n_features), seen), *statistics)
        self.restore({label: tensors[f"weights{label}"].numpy() for label in state.values["classes"]})


def named(row: npt.NDArray[Any]) -> dict[int, float]:
    """Return numbers by index, as River reads them."""
    return dict(enumerate(row.tolist()))


def _row(by_feature: Mapping[int, float]) -> Tensor:
    return torch.tensor([*by_feature.values()], dtype=torch.float64)
