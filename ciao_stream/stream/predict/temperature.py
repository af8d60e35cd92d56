"""Calibration: one temperature per world, fitted on labelled frames that the world had not learned when it answered.

A temperature changes how certain a world says that it is, and never what it answers [1].

References:
    [1] Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax

from ciao_stream.faces.task import TaskSpec
from ciao_stream.stream.log.labels import Target

WINDOW = 512
"""Labelled frames that are kept, the newest ones; no face is among what is kept."""

LEAST = 64
"""Labelled frames below which the temperature is 1."""

EVERY = 32
"""New ones after which it is fitted anew."""

LIMITS = (0.05, 20.0)
"""The least and the highest temperature."""


class Temperature:
    """The temperature of one world.

    Args:
        spec: What the world answers: no dimensional task, which has no logits.
    """

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec
        self.value = 1.0
        self._seen: deque[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]] = deque(maxlen=WINDOW)
        self._new = 0

    def take(self, outputs: npt.NDArray[np.float32], target: Target) -> None:
        """Take in an answer and what would have been right.

        Args:
            outputs: float32 (n_out,), logits.
            target: Of the layout of the task's kind.
        """
        right = np.eye(self.spec.n_out)[int(target)] if self.spec.kind == "categorical" else target.astype(np.float64)
        self._seen.append((outputs.astype(np.float64), right))
        self._new += 1
        if len(self._seen) >= LEAST and self._new >= EVERY:
            self._new = 0
            self.value = self._fitted()

    def _fitted(self) -> float:
        """Return the temperature of least mean cross-entropy; the problem is convex in ``1 / T``."""
        logits, right = (np.stack(column) for column in zip(*self._seen, strict=True))

        def loss(log_temperature: float) -> float:
            scaled = logits / math.exp(log_temperature)
            if self.spec.kind == "multilabel":
                return float(-(right * log_expit(scaled) + (1 - right) * log_expit(-scaled)).mean())
            return float(-(right * log_softmax(scaled, axis=1)).sum(axis=1).mean())

        least, most = (math.log(limit) for limit in LIMITS)
        return math.exp(minimize_scalar(loss, bounds=(least, most), method="bounded").x)
