"""The share of a saliency map on each part of the face.

The parts are fixed boxes of a face that fills its image upright, not landmarks of the face at hand: on turned heads
and loose crops they miss. A map of 6 x 6 places over a face hardly tells brows from eyes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ciao_stream.explain.cam import enlarge

PLACES = 96
"""Side to which maps are enlarged before they are summed over boxes."""

Source = Literal["real", "synthetic"]


@dataclass(frozen=True)
class Box:
    """A rectangle in shares of the image's width and height, 0 at the left and at the top."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        """Its share of the image."""
        return (self.right - self.left) * (self.bottom - self.top)


REGIONS: Mapping[Source, Mapping[str, Box]] = {
    "real": {
        "brows": Box(0.14, 0.18, 0.86, 0.30),
        "eyes": Box(0.14, 0.30, 0.86, 0.45),
        "nose": Box(0.34, 0.45, 0.66, 0.66),
        "mouth": Box(0.26, 0.66, 0.74, 0.90),
    },
    "synthetic": {
        "brows": Box(0.18, 0.25, 0.82, 0.38),
        "eyes": Box(0.18, 0.38, 0.82, 0.50),
        "nose": Box(0.34, 0.50, 0.66, 0.66),
        "mouth": Box(0.28, 0.66, 0.72, 0.88),
    },
}
"""Boxes that do not overlap, read off the mean of 3,000 faces of FER2013's PublicTest, and off that of 80 drawn faces
of the synthetic world ``fer``. The remainder is the ``rest``."""


def region_masses(saliency: Tensor, boxes: Mapping[str, Box]) -> dict[str, Tensor]:
    """Return the share of each map in each box.

    Args:
        saliency: (N, h, w), all values >= 0.
        boxes: By name; they must not overlap.

    Returns:
        float32 (N,) by name, and the remainder under ``rest``; NaN for a map that is 0 everywhere.
    """
    large = enlarge(saliency, PLACES)
    total = large.sum(dim=(1, 2))
    masses = {name: _inside(large, box).sum(dim=(1, 2)) / total for name, box in boxes.items()}
    masses["rest"] = 1 - torch.stack([*masses.values()]).sum(dim=0)
    return masses


def areas(boxes: Mapping[str, Box]) -> dict[str, float]:
    """Return each box's share of the image: the mass that a uniform map would have there."""
    shares = {name: box.area for name, box in boxes.items()}
    return {**shares, "rest": 1 - sum(shares.values())}


def _inside(large: Tensor, box: Box) -> Tensor:
    top, bottom, left, right = (round(PLACES * side) for side in (box.top, box.bottom, box.left, box.right))
    return large[:, top:bottom, left:right]
