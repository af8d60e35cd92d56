"""``hog``: logistic regression on histograms of oriented gradients of the pixels; the encoder plays no part.

References:
    - [0] Dalal, Triggs: Histograms of Oriented Gradients for Human Detection, CVPR 2005
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from strategies.base import Runner

TAKES_MASK = False

SIZE, BLOCK, CELL, BINS = 48, 16, 8, 9
"""Side of the face, of a block and of a cell in pixels, and directions: 5 x 5 blocks of 4 cells, 900 numbers."""


def describe(pixels: Tensor) -> Tensor:
    """Return the histograms of faces, uint8 (B, 1 or 3, size, size), as float32 (B, 900)."""
    import cv2
    import numpy as np
    import torch

    hog = cv2.HOGDescriptor((SIZE, SIZE), (BLOCK, BLOCK), (CELL, CELL), (CELL, CELL), BINS)
    gray = pixels.float().mean(dim=1).round().to(torch.uint8).numpy()
    faces = [cv2.resize(face, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for face in gray]
    return torch.from_numpy(np.stack([np.asarray(hog.compute(face)).ravel() for face in faces]))


def strategy() -> Runner:
    from strategies.base.frozen import FrozenFeatures
    from strategies.logreg import linear_models

    return FrozenFeatures(linear_models(), describe, reads="pixels")
