"""Saliency on the map that a world's head decides on, masked or not, of any scheme and encoder.

References:
    - [0] Chattopadhay, Sarkar, Howlader, Balasubramanian: Grad-CAM++: Generalized Gradient-based Visual Explanations
      for Deep Convolutional Networks, WACV 2018, https://arxiv.org/abs/1710.11063 (Eq. 5, 7 and 19)
    - [1] Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra: Grad-CAM: Visual Explanations from Deep Networks via
      Gradient-based Localization, ICCV 2017, https://arxiv.org/abs/1610.02391 (Eq. 1 and 2)
    - [2] Draelos, Carin: Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks,
      2020, https://arxiv.org/abs/2011.08891 (section 3.3)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from ciao_stream.explain.targets import Target
from ciao_stream.worlds.world import World


def plus_plus(maps: Tensor, gradients: Tensor) -> Tensor:
    """Return the saliency of each place of a map (Eq. 5 of [0]).

    The weight of a channel is ``sum_ij alpha_ij relu(g_ij)`` with Eq. 19,
    ``alpha_ij = g_ij^2 / (2 g_ij^2 + sum_ab A_ab g_ij^3)``. Where the gradient ``g`` is positive that is
    ``1 / (2 + g_ij sum_ab A_ab)``, and elsewhere the ReLU takes the term away: written so, it divides by no small
    number and needs no epsilon, next to which the square of a small gradient would vanish. The factor ``exp(score)`` of
    Eq. 7 is the same for all channels of a face and is omitted. [0] takes the map behind a ReLU: of one that may be
    negative (transformers), the negative part counts as 0 in ``sum_ab A_ab``.

    Args:
        maps: ``A``, (B, C, h, w).
        gradients: ``g``, of the explained score by ``maps``; of the same shape.

    Returns:
        (B, h, w), all values >= 0.
    """
    rising = gradients.relu()
    total = maps.relu().sum(dim=(2, 3), keepdim=True)
    weights = (rising / (2 + rising * total)).sum(dim=(2, 3), keepdim=True)
    return (weights * maps).sum(dim=1).relu()


def grad_cam(maps: Tensor, gradients: Tensor) -> Tensor:
    """Return the saliency by [1]: a channel's weight is the mean of its gradient, and may be negative.

    Args and result as of :func:`plus_plus`.
    """
    return (gradients.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1).relu()


def hires_cam(maps: Tensor, gradients: Tensor) -> Tensor:
    """Return the saliency by [2]: gradient by map, place by place, as needed for a head that distinguishes places.

    Args and result as of :func:`plus_plus`.
    """
    return (gradients * maps).sum(dim=1).relu()


Method = Callable[[Tensor, Tensor], Tensor]
"""Turns maps and gradients, (B, C, h, w) each, into saliency, (B, h, w)."""

METHODS: Mapping[str, Method] = {"grad-cam++": plus_plus, "grad-cam": grad_cam, "hirescam": hires_cam}
"""By name. The paper shows Grad-CAM++; how far each can be trusted here, ``docs/explain.md`` tells."""


def saliency(world: World, x: Tensor, target: Target, method: Method = plus_plus) -> Tensor:
    """Return the saliency of a world for a target, computed in float32.

    Args:
        world: Any world. It is put into evaluation mode; nothing of it moves.
        x: Batch at the world's level.
        target: What is explained of each face.
        method: One of :data:`METHODS`.

    Returns:
        float32 (B, h, w) at the resolution of the map, all values >= 0, on the CPU.
    """
    world.eval()
    with torch.no_grad():
        maps = world.map(x.to(world.device)).float()
    maps.requires_grad_()
    with torch.enable_grad():
        outputs = world.head(maps)
        (gradients,) = torch.autograd.grad(target.scores(outputs).sum(), maps)
    return method(maps.detach(), gradients).cpu()


def enlarge(saliency_maps: Tensor, size: int) -> Tensor:
    """Bring maps (B, h, w) to the size of the encoder's input, bilinearly, (B, size, size)."""
    return F.interpolate(saliency_maps[:, None], size=(size, size), mode="bilinear", align_corners=False)[:, 0]


def normalise(saliency_maps: Tensor) -> Tensor:
    """Divide each map (B, h, w) by its largest value; one that is 0 everywhere stays so."""
    return saliency_maps / saliency_maps.amax(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
