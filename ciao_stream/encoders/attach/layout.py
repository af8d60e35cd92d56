"""Memory layouts of a square grid of features, and their conversion to a map (B, C, h, w)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Order of the dimensions of a tensor that holds a grid.

    Args:
        kind: ``nchw``: (B, C, g, g). ``nhwc``: (B, g, g, C). ``tokens``: (B, prefix + g * g, C).
        side: Positions per side, ``g``.
        prefix: Number of tokens before those of the grid (class token, registers).
    """

    kind: Literal["nchw", "nhwc", "tokens"]
    side: int
    prefix: int = 0

    def grid(self, x: Tensor) -> Tensor:
        """Return the grid of ``x`` as (B, C, g, g), without prefix tokens."""
        if self.kind == "nchw":
            return x
        if self.kind == "nhwc":
            return x.permute(0, 3, 1, 2)
        return x[:, self.prefix :].transpose(1, 2).unflatten(2, (self.side, self.side))

    def ungrid(self, grid: Tensor, prefix: Tensor | None) -> Tensor:
        """Invert :meth:`grid`; ``prefix`` (B, n, C) holds the tokens before those of the grid."""
        if self.kind == "nchw":
            return grid
        if self.kind == "nhwc":
            return grid.permute(0, 2, 3, 1)
        tokens = grid.flatten(2).transpose(1, 2)
        return tokens if prefix is None else torch.cat([prefix.to(tokens.dtype), tokens], dim=1)


def grid_layout(shape: Sequence[int], tokens: bool = False) -> Layout | None:
    """Return the layout of a tensor of this shape, None if it holds no square grid larger than 1x1.

    Args:
        shape: Shape with the batch dimension.
        tokens: Whether (B, N, C) may be a grid: the last ``g * g`` tokens for the largest ``g``.

    >>> grid_layout((2, 512, 7, 7)), grid_layout((2, 7, 7, 768))
    (Layout(kind='nchw', side=7, prefix=0), Layout(kind='nhwc', side=7, prefix=0))
    >>> grid_layout((2, 197, 768), tokens=True)
    Layout(kind='tokens', side=14, prefix=1)
    """
    if len(shape) == 4 and shape[2] == shape[3] > 1:
        return Layout("nchw", shape[2])
    if len(shape) == 4 and shape[1] == shape[2] > 1:
        return Layout("nhwc", shape[1])
    if tokens and len(shape) == 3 and shape[1] >= 4:
        side = math.isqrt(shape[1])
        return Layout("tokens", side, shape[1] - side * side)
    return None
