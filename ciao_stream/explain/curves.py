"""Deletion and insertion: whether the prediction depends on the places that a map marks.

References:
    - [0] Petsiuk, Das, Saenko: RISE: Randomized Input Sampling for Explanation of Black-box Models, BMVC 2018,
      https://arxiv.org/abs/1806.07421 (section 4.3)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ciao_stream.explain.cam import enlarge
from ciao_stream.explain.targets import Target
from ciao_stream.explain.views import Views
from ciao_stream.runtime.seeds import numpy_generator
from ciao_stream.worlds.world import World

STEPS = 12
"""Equal parts in which the pixels of a face are taken away or brought in."""

BLUR = 0.12
"""Standard deviation of the blur that insertion starts from, as a share of the image's side."""

Kind = Literal["deletion", "insertion"]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curve:
    """The confidence in the prediction as pixels are removed or added, most salient first.

    Args:
        confidence: float64 (N, STEPS + 1), before any pixel, and after each part.
    """

    confidence: Floats

    @property
    def areas(self) -> Floats:
        """Area under the curve of each face, float64 (N,) in [0, 1], by trapezoids."""
        return (self.confidence[:, 1:] + self.confidence[:, :-1]).mean(axis=1) / 2


def curve(kind: Kind, world: World, views: Views, target: Target, saliency: Tensor) -> Curve:
    """Take pixels away, or bring them in, in the order of maps, and ask the world after each part.

    ``deletion`` puts the face's own mean brightness (per channel) in a pixel's place: a good map makes the confidence
    fall at once, and the area is small. ``insertion`` starts from the blurred face: a good map's area is large.

    Args:
        kind: Which of both.
        world: The world.
        views: The faces.
        target: What is explained of each.
        saliency: (N, h, w), of any size; enlarged bilinearly to the image. Among pixels of equal value those
            further down come later.
    """
    pixels = views.pixels
    size = pixels.shape[-1]
    ranks = _ranks(saliency, size)
    empty = _mean(pixels) if kind == "deletion" else _blurred(pixels)
    start, end = (pixels, empty) if kind == "deletion" else (empty, pixels)
    columns = []
    for step in range(STEPS + 1):
        changed = ranks < step * size * size // STEPS
        stage = Views(views.encoder, torch.where(changed[:, None], end, start))
        columns.append(target.confidence(stage.outputs(world)).double().numpy())
    return Curve(np.stack(columns, axis=1))


def random_maps(saliency: Tensor, seed: int) -> Tensor:
    """Return maps of uniform noise, of the shape of ``saliency``.

    They are as coarse as the map that they replace: noise in single pixels would spoil a face by its roughness,
    wherever it falls, and win the deletion test.
    """
    drawn = numpy_generator(seed, "random maps").random(tuple(saliency.shape))
    return torch.from_numpy(drawn).float()


CONTROLS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "random": random_maps,
    "other face": lambda saliency, seed: saliency.roll(1, dims=0),  # noqa: ARG005
}
"""What a map is compared with: noise, and the same world's map of another face, which has its habits but not its
reasons."""


def _ranks(saliency: Tensor, size: int) -> Tensor:
    """Return the rank of each pixel, int64 (N, size, size); the most salient at 0."""
    order = enlarge(saliency, size).flatten(1).argsort(dim=1, descending=True, stable=True)
    return order.argsort(dim=1).view(-1, size, size)


def _mean(pixels: Tensor) -> Tensor:
    return pixels.float().mean(dim=(2, 3), keepdim=True).round().to(torch.uint8).expand_as(pixels)


def _blurred(pixels: Tensor) -> Tensor:
    import cv2

    sigma = BLUR * pixels.shape[-1]
    planes = [cv2.GaussianBlur(plane, (0, 0), sigma) for plane in pixels.flatten(0, 1).numpy()]
    return torch.from_numpy(np.stack(planes)).view_as(pixels)
