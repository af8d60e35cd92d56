"""A face's map as a row of numbers, for classifiers that take nothing else."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

FEATURES = 1024
"""At most so many numbers describe a face, unless there are more channels."""


def pooled_maps(x: Tensor) -> Tensor:
    """Average maps (B, C, h, w) over the finest square grid that gives at most :data:`FEATURES` numbers, (B, n)."""
    channels, height, width = x.shape[1:]
    side = max(1, min(height, width, int((FEATURES / channels) ** 0.5)))
    return F.adaptive_avg_pool2d(x, side).flatten(1)
