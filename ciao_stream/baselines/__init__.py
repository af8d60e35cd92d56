"""Known online learners on the frozen features of a task with classes: what a world has to be better than.

One file, one learner: it offers ``make(n_features, n_classes)``.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from ciao_stream.runtime.plugins import load_plugin, plugin_names
from ciao_stream.runtime.state import State

Features = npt.NDArray[np.float32]


class Baseline(Protocol):
    """A classifier that learns one face after the other, each once.

    ``n_classes`` may grow; a class that was not seen yet is never the answer.
    """

    n_classes: int

    def outputs(self, x: Features) -> npt.NDArray[np.float64]:
        """Answer faces (B, n_features) with (B, n_classes): the largest is the answer, and all are alike at first."""
        ...

    def learn(self, x: Features, y: int) -> None:
        """Learn one face (n_features,) of class ``y``."""
        ...

    def settle(self) -> None:
        """Learn what was put off, so that no single face is kept."""
        ...

    def state(self) -> State:
        """Return all that was learned."""
        ...

    def load(self, state: State) -> None:
        """Become what :meth:`state` told of, bit for bit."""
        ...


def baseline_names() -> list[str]:
    """Return every learner that :func:`make_baseline` takes."""
    return plugin_names(__name__)


def make_baseline(name: str, n_features: int, n_classes: int) -> Baseline:
    """Make a learner that has learned nothing.

    Raises:
        UnknownNameError: There is no such learner.
    """
    made: Baseline = load_plugin(__name__, name, "baseline").make(n_features, n_classes)
    return made
