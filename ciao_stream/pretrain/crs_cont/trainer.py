"""How a general encoder learns from one batch of faces with coarse labels."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ciao_stream.encoders.base import Encoder
from ciao_stream.pretrain.augment import Augmentation, augment
from ciao_stream.pretrain.crs_cont.coarse import COARSE
from ciao_stream.pretrain.crs_cont.losses import Parts, Weights, loss_parts
from ciao_stream.pretrain.descent import Descent, DescentLearner
from ciao_stream.runtime.device import autocast
from ciao_stream.runtime.seeds import seeded_torch

PROJECTION = 128
"""Dimensions in which views are contrasted."""


@dataclass(frozen=True)
class Recipe:
    """How a general encoder is trained.

    Args:
        descent: How the weights move.
        weights: Of the parts of the loss.
        augmentation: What a view may change.
    """

    descent: Descent = field(default_factory=Descent)
    weights: Weights = field(default_factory=Weights)
    augmentation: Augmentation = field(default_factory=Augmentation)


class ContrastNet(nn.Module):
    """The encoder in training, and what is thrown away afterwards: projections and coarse logits.

    Args:
        encoder: A trainable encoder.
        views: Whether the contrast of views has its own projection.
    """

    def __init__(self, encoder: Encoder, views: bool) -> None:
        super().__init__()
        self.encoder = encoder
        width = encoder.shapes()[1][0]
        self.coarse = nn.Linear(width, len(COARSE))
        self.projection = _projection(width)
        self.private = _projection(width) if views else None

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Map uint8 pixels (B, channels, size, size) to projections, private projections and coarse logits."""
        pooled = self.encoder(pixels).mean(dim=(2, 3))
        return self.projection(pooled), None if self.private is None else self.private(pooled), self.coarse(pooled)


class ContrastLearner(DescentLearner):
    """Trains a general encoder.

    Args:
        encoder: The encoder to start from; it is copied.
        recipe: How.
        steps: Number of steps in all.
        seed: Of the initial weights of what is thrown away.
    """

    def __init__(self, encoder: Encoder, recipe: Recipe, steps: int, seed: int) -> None:
        with seeded_torch(seed, "crs-cont"):
            net = ContrastNet(encoder.thawed(), recipe.weights.views > 0)
        super().__init__(net.to(encoder.device), recipe.descent, steps)
        self.recipe = recipe

    def step(self, pixels: Tensor, shares: Tensor, generator: torch.Generator) -> dict[str, float]:
        """Learn from one batch.

        Args:
            pixels: uint8 (B, channels, size, size).
            shares: float32 (B, 4), coarse.
            generator: Where the views are drawn from.

        Returns:
            The parts of the loss before their weights, and ``accuracy``, of coarse labels.
        """
        self.net.train()
        parts, accuracy = self._look(pixels, shares, generator)
        self.descend(parts.total(self.recipe.weights))
        return self._measures(parts, accuracy)

    @torch.no_grad()
    def measure(self, pixels: Tensor, shares: Tensor, generator: torch.Generator) -> dict[str, float]:
        """Return what :meth:`step` would; nothing learns."""
        self.net.eval()
        return self._measures(*self._look(pixels, shares, generator))

    def _look(self, pixels: Tensor, shares: Tensor, generator: torch.Generator) -> tuple[Parts, Tensor]:
        """Return the parts of the loss of two views of each face, and the accuracy of coarse labels."""
        how = self.recipe.augmentation
        views = torch.cat([augment(pixels, how, generator) for _ in range(2)])
        with autocast(pixels.device):
            projections, private, logits = self.net(views.contiguous(memory_format=torch.channels_last))
        private = None if private is None else private.float()
        parts = loss_parts(projections.float(), private, logits.float(), shares, self.recipe.weights)
        right = logits.argmax(dim=1) == shares.argmax(dim=1).repeat(2)
        return parts, right.float().mean()

    def _measures(self, parts: Parts, accuracy: Tensor) -> dict[str, float]:
        measures = {name: part.item() for name, part in parts._asdict().items()}
        if self.net.private is None:
            del measures["views"]
        return {**measures, "accuracy": accuracy.item()}


def _projection(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, PROJECTION))
