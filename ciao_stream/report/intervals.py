"""The mean over seeds and how far it may be off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import t as student_t


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean of ``values`` and the half width of its 95 % Student-t interval.

    ``t(0.975, n - 1) * s / sqrt(n)`` with the sample deviation ``s`` (n - 1 in the denominator). It speaks of other
    seeds of the same training on the same data, not of other data.

    Args:
        values: One value per seed.

    Returns:
        Mean and half width. The half width is NaN for one value; both are NaN for none, or if a value is NaN.

    >>> mean_interval([1.0, 2.0, 3.0])[0], round(mean_interval([1.0, 2.0, 3.0])[1], 4)
    (2.0, 2.4841)
    """
    if len(values) < 2:
        return (float(values[0]) if values else float("nan")), float("nan")
    sample = np.asarray(values, dtype=np.float64)
    if np.ptp(sample) == 0:  # the mean of equal values must not differ from them by rounding
        return float(sample[0]), 0.0
    half = student_t.ppf(0.975, len(sample) - 1) * sample.std(ddof=1) / np.sqrt(len(sample))
    return float(sample.mean()), float(half)
