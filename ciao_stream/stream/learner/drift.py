"""Detectors of a rising error, from River, each with what it takes to bring it back without pickle.

A detector's state is the inputs that it has seen since it was last fresh: a fresh one that reads them again is the
same, bit for bit. It starts afresh whenever it finds a change, and after :data:`RESET_AFTER` inputs, so that there
are never more of them. Where the error has fallen, as learning brings it, it starts with what ADWIN's window still
holds: of 60 rises, from 0.05 to 0.7, that came 88 answers after a fall from 0.5, River's ADWIN by itself missed 55
within 100 answers, a fresh one as many, this one 6.

References:
    - [0] Bifet, Gavalda: Learning from Time-Changing Data with Adaptive Windowing, SDM 2007
    - [1] Page: Continuous Inspection Schemes, Biometrika 41, 1954
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

import torch
from river.base import DriftDetector
from river.drift import ADWIN, DummyDriftDetector, PageHinkley

from ciao_stream.runtime.state import State
from ciao_stream.stream.learner.settings import DetectorName

RESET_AFTER = 5000
"""Inputs after which a detector that has found nothing starts afresh."""

DETECTORS: dict[DetectorName, Callable[[], DriftDetector]] = {
    "adwin": ADWIN,
    "page-hinkley": lambda: PageHinkley(mode="up", threshold=25, delta=0.05),
    "dummy": lambda: DummyDriftDetector(t_0=300),
}
"""ADWIN [0] and the test of Page and Hinkley [1]; and one that signals every 300 answers whatever they are: what an
answer to drift gains over it is what the detecting is worth.

Measured on errors that jump from 0.2 to 0.4, and from 0.35 to 0.6, after 2,000 answers (60 seeds each): neither of the
first two missed a jump or signalled before it; ADWIN took 143 answers, the test with these values 143 and 106."""


class Watch:
    """One detector that reads the error of every answer.

    Args:
        name: Which.
    """

    def __init__(self, name: DetectorName) -> None:
        self.name = name
        self.signals = 0
        self._start_over([])

    def update(self, error: float) -> bool:
        """Read the error of one answer, in [0, 1].

        Returns:
            Whether the error has risen. A change to less error, as learning brings it, is no drift.
        """
        self._read(error)
        found = bool(self._detector.drift_detected)
        rose = found and self._rose()
        if rose or len(self._inputs) >= RESET_AFTER:
            self._start_over([])
        elif found:
            self._start_over(self._inputs[-round(self._detector.width) :])
        self.signals += rose
        return rose

    def state(self) -> State:
        """Return what :meth:`load` needs."""
        return State({"signals": self.signals}, {"inputs": torch.tensor(self._inputs, dtype=torch.float64)})

    def load(self, state: State) -> None:
        """Become what :meth:`state` told of."""
        self.signals = state.values["signals"]
        self._start_over(state.tensors["inputs"].tolist())

    def _start_over(self, inputs: Sequence[float]) -> None:
        self._detector: Any = DETECTORS[self.name]()
        self._inputs: list[float] = []
        for error in inputs:
            self._read(error)

    def _read(self, error: float) -> None:
        self._detector.update(error)
        self._inputs.append(error)

    def _rose(self) -> bool:
        """Whether the change that was just found is one to more error: ADWIN finds both."""
        if isinstance(self._detector, ADWIN):
            return self._detector.estimation > sum(self._inputs) / len(self._inputs)
        return True


def watches() -> list[Watch]:
    """Return one of each detector."""
    return [Watch(name) for name in get_args(DetectorName)]
