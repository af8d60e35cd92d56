"""``hog``: logistic regression on histograms of oriented gradients of the pixels; no encoder has a say.

References:
    - [0] Dalal, Triggs: Histograms of Oriented Gradients for Human Detection, CVPR 2005
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from strategies.base.frozen import FrozenFeatures
from strategies.logreg import ESTIMATORS

SIZE, BLOCK, CELL, BINS = 48, 16, 8, 9
"""Pixels of the face, a block and a cell, on a side, and directions: 5 x 5 blocks of 4 cells, 900 numbers."""


def describe(pixels: Tensor) -> Tensor:
    """Return the histograms of faces, uint8 (B, 1 or 3, size, size), as float32 (B, 900)."""
    hog = cv2.HOGDescriptor((SIZE, SIZE), (BLOCK, BLOCK), (CELL, CELL), (CELL, CELL), BINS)
    gray = pixels.float().mean(dim=1).round().to(torch.uint8).numpy()
    faces = [cv2.resize(face, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for face in gray]
    return torch.from_numpy(np.stack([np.asarray(hog.compute(face)).ravel() for face in faces]))


STRATEGY = FrozenFeatures(ESTIMATORS, describe, reads="pixels")
