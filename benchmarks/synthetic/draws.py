"""Random numbers per row, independent of the order and number of rows."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

_STEP = np.uint64(0x9E3779B97F4A7C15)


def uniform(key: str, rows: npt.ArrayLike, channels: int) -> npt.NDArray[np.float64]:
    """Draw ``channels`` numbers for each row by hashing (key, row, channel); no state is kept between calls.

    Args:
        key: Name of the stream; different keys give independent numbers.
        rows: Integers of shape (N,), zero or more each.
        channels: Numbers per row.

    Returns:
        float64 (N, channels) in ``[0, 1)``. The first k channels do not depend on ``channels``.
    """
    start = np.frombuffer(hashlib.blake2b(key.encode(), digest_size=8).digest(), dtype="<u8")
    of_row = _mix(start + np.asarray(rows).astype(np.uint64) * _STEP)
    of_channel = _STEP * np.arange(1, channels + 1, dtype=np.uint64)
    mixed = _mix(of_row[:, None] + of_channel[None, :])
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014): every bit of ``x`` affects every bit of the result."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
