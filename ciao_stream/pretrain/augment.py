"""Views of a face for contrast: random changes that keep its expression, drawn for each face of a batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Augmentation:
    """How far a view may differ from the face.

    The crop, the flip and the jitter are those of the authors' code; colour jitter on gray faces is brightness and
    contrast. A small turn is added, and a patch that is erased: hands, hair and glasses hide parts of real faces.

    Args:
        least_area: Least share of the image that a crop keeps, in (0, 1].
        stretch: Largest ratio of a crop's height to its width and the other way round, >= 1.
        turn: Largest rotation, in degrees.
        jitter: Largest relative change of brightness and of contrast.
        jitter_share: Share of views that are jittered.
        erase_share: Share of views of which a patch is erased.
    """

    least_area: float = 0.5
    stretch: float = 4 / 3
    turn: float = 12.0
    jitter: float = 0.4
    jitter_share: float = 0.8
    erase_share: float = 0.25


Draw = Callable[[float, float], Tensor]
"""Draws one number per face, uniform between two bounds, (B,)."""


def augment(pixels: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Draw one view of every face of a batch.

    Args:
        pixels: uint8 (B, channels, size, size).
        how: What may change.
        generator: Where the draws come from; on the CPU.

    Returns:
        uint8 (B, channels, size, size), on the device of ``pixels``.
    """
    n, device = len(pixels), pixels.device

    def draw(low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(n, generator=generator)).to(device)

    grid = F.affine_grid(_placement(how, draw), list(pixels.shape), align_corners=False)
    view = F.grid_sample(pixels.float(), grid, padding_mode="reflection", align_corners=False)
    jittered = draw(0, 1) < how.jitter_share
    brightness = torch.where(jittered, draw(1 - how.jitter, 1 + how.jitter), 1.0).view(-1, 1, 1, 1)
    contrast = torch.where(jittered, draw(1 - how.jitter, 1 + how.jitter), 1.0).view(-1, 1, 1, 1)
    mean = view.mean(dim=(1, 2, 3), keepdim=True)
    view = ((view - mean) * contrast + mean) * brightness
    hidden = _patch(pixels.shape[-1], draw) & (draw(0, 1) < how.erase_share).view(-1, 1, 1, 1)
    return torch.where(hidden, mean, view).clamp(0, 255).round().to(torch.uint8)


def _placement(how: Augmentation, draw: Draw) -> Tensor:
    """Return where each view looks, as affine maps (B, 2, 3) of [-1, 1] coordinates."""
    area, tall = draw(how.least_area, 1), draw(-math.log(how.stretch), math.log(how.stretch)).exp()
    width, height = (area / tall).sqrt().clamp(max=1), (area * tall).sqrt().clamp(max=1)
    x, y = draw(-1, 1) * (1 - width), draw(-1, 1) * (1 - height)
    angle = draw(-how.turn, how.turn) * math.pi / 180
    cos, sin = angle.cos(), angle.sin()
    width = width * torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
    top, bottom = [cos * width, -sin * height, x], [sin * width, cos * height, y]
    return torch.stack([torch.stack(top, dim=1), torch.stack(bottom, dim=1)], dim=1)


def _patch(size: int, draw: Draw) -> Tensor:
    """Return one rectangle per face, of 2 to 20 % of the image, as a mask (B, 1, size, size)."""
    area, tall = draw(0.02, 0.2), draw(-0.7, 0.7).exp()
    height, width = (area * tall).sqrt() * size, (area / tall).sqrt() * size
    top, left = draw(0, 1) * (size - height), draw(0, 1) * (size - width)
    at = torch.arange(size, device=area.device)
    rows = (at >= top[:, None]) & (at < (top + height)[:, None])
    columns = (at >= left[:, None]) & (at < (left + width)[:, None])
    return (rows[:, :, None] & columns[:, None, :]).unsqueeze(1)
