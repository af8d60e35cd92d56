"""The losses of a training, epoch by epoch, for the report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor


class LossCurve:
    """Collects the mean of each term of the loss over the samples of each epoch.

    Args:
        terms: Of earlier epochs, by term, when a training is resumed.
    """

    def __init__(self, terms: Mapping[str, list[float]] | None = None) -> None:
        self.terms: dict[str, list[float]] = {name: [*values] for name, values in (terms or {}).items()}
        self._sums: dict[str, float | Tensor] = {}
        self._samples = 0

    def add(self, samples: int, **losses: float | Tensor | None) -> None:
        """Add one batch: each term's mean over the batch, None for a term that does not exist.

        A tensor is added up where it is, to avoid waiting for a GPU.
        """
        self._samples += samples
        for name, loss in losses.items():
            if loss is not None:
                self._sums[name] = self._sums.get(name, 0.0) + samples * loss

    def end_epoch(self) -> None:
        """Close an epoch."""
        for name, total in self._sums.items():
            self.terms.setdefault(name, []).append(float(total) / self._samples)
        self._sums, self._samples = {}, 0

    def details(self, epochs: int) -> dict[str, Any]:
        """Return ``{"curve": {term: [mean loss of each epoch, or None where it was not finite]}}``.

        Empty if an epoch is missing, as in a training that an earlier version began.
        """
        if not self.terms or any(len(values) != epochs for values in self.terms.values()):
            return {}
        return {"curve": {name: [_rounded(value) for value in values] for name, values in self.terms.items()}}


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
