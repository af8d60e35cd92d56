"""Pool a map to a vector, for classifiers that need one."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

FEATURES = 1024
"""Most numbers per face, unless the map has more channels."""


def pooled_maps(x: Tensor) -> Tensor:
    """Return means of maps (B, C, h, w) over the finest square grid with at most :data:`FEATURES` values, (B, n)."""
    channels, height, width = x.shape[1:]
    side = max(1, min(height, width, int((FEATURES / channels) ** 0.5)))
    return F.adaptive_avg_pool2d(x, side).flatten(1)
