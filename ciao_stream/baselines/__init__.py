"""Baselines: established online classifiers on the frozen features of a task with classes.

Each file is one baseline and defines ``make(n_features, n_classes)``.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from ciao_stream.runtime.plugins import load_plugin
from ciao_stream.runtime.state import State

Features = npt.NDArray[np.float32]


class Baseline(Protocol):
    """A classifier that learns one face after the other, each once.

    ``n_classes`` may grow; a class without a sample is never predicted.
    """

    n_classes: int

    def outputs(self, x: Features) -> npt.NDArray[np.float64]:
        """Return (B, n_classes) for faces (B, n_features): the largest is the prediction; all are equal at first."""
        ...

    def learn(self, x: Features, y: int) -> None:
        """Learn one face (n_features,) of class ``y``."""
        ...

    def settle(self) -> None:
        """Learn all buffered faces, so that no single face is kept."""
        ...

    def state(self) -> State:
        """Return what :meth:`load` needs."""
        ...

    def load(self, state: State) -> None:
        """Restore what :meth:`state` returned, bit for bit."""
        ...


def make_baseline(name: str, n_features: int, n_classes: int) -> Baseline:
    """Make a baseline that has learned nothing.

    Raises:
        UnknownNameError: There is no such baseline.
    """
    made: Baseline = load_plugin(__name__, name, "baseline").make(n_features, n_classes)
    return made
