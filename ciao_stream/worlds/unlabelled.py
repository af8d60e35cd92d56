"""The losses on faces without a label: a face and a view of it should give the same.

A view is made from what is encoded and kept, so that the frozen trunk runs once for each face: a fifth of the numbers
of ``z`` or ``u`` are set to 0 and the others scaled up (dropout [1]); prepared pixels are mirrored. The world's
normalisation is that of evaluation meanwhile: its statistics are those of labelled faces alone.

References:
    - [1] Srivastava et al.: Dropout, JMLR 15, 2014
    - [2] Laine, Aila: Temporal Ensembling for Semi-Supervised Learning, ICLR 2017, https://arxiv.org/abs/1610.02242
    - [3] Chen et al.: A Simple Framework for Contrastive Learning, ICML 2020, https://arxiv.org/abs/2002.05709
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ciao_stream.runtime.device import autocast
from ciao_stream.worlds.losses import consistency_loss, instance_contrast
from ciao_stream.worlds.world import World

DROPPED = 0.2
"""Share of the numbers of ``z`` or ``u`` that a view lacks."""

_Norm = nn.modules.batchnorm._BatchNorm


def view(x: Tensor) -> Tensor:
    """Return a view of each face of a batch.

    Args:
        x: uint8 pixels (B, channels, size, size), or float ``z`` or ``u`` (B, ...). Draws come from torch's default
            generator.
    """
    return x.flip(-1) if x.dtype == torch.uint8 else F.dropout(x, DROPPED)


def unlabelled_loss(world: World, x: Tensor) -> Tensor:
    """Return the term that the world's settings name, a scalar with a gradient.

    ``consistency`` ([2], the Pi-model): the prediction for a view, in training mode, should equal that for the face
    itself, which has no gradient. ``contrast`` ([3], SimCLR): the pooled (masked) maps of a face and
    its view attract each other, and repel those of other faces. It has no gradient if nothing before the head
    is trained.

    Args:
        world: In training mode, and left in it.
        x: Batch at the world's level, of at least one face.

    Raises:
        ValueError: The settings name no term.
    """
    term = world.settings.unlabelled
    if term == "none":
        raise ValueError("the world's settings have no term for faces without a label")
    target = world.predict(x) if term == "consistency" else None
    world.train()
    for module in world.modules():
        if isinstance(module, _Norm):
            module.eval()
    with autocast(x.device):
        if target is not None:
            loss = consistency_loss(world.spec, world(view(x)).float(), target)
        else:
            plain, seen = world.map(torch.cat([x, view(x)])).float().mean(dim=(2, 3)).chunk(2)
            loss = instance_contrast(plain, seen, world.settings.temperature)
    world.train()
    return loss
