"""How an encoder learns from one batch of faces with fine labels."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ciao_stream.encoders.base import Encoder
from ciao_stream.pretrain.augment import Augmentation, augment
from ciao_stream.pretrain.descent import Descent, DescentLearner
from ciao_stream.runtime.device import autocast
from ciao_stream.runtime.seeds import seeded_torch


@dataclass(frozen=True)
class Recipe:
    """How an encoder is trained with classes.

    Args:
        descent: How the weights move.
        augmentation: How far a face is changed before it is learned from.
    """

    descent: Descent = field(default_factory=Descent)
    augmentation: Augmentation = field(default_factory=Augmentation)


class ClassNet(nn.Module):
    """The encoder in training, and one linear layer on the mean of its map.

    Args:
        encoder: A trainable encoder.
        classes: How many.
    """

    def __init__(self, encoder: Encoder, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.linear = nn.Linear(encoder.shapes()[1][0], classes)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map uint8 pixels (B, channels, size, size) to logits (B, classes)."""
        return self.linear(self.encoder(pixels).mean(dim=(2, 3)))


class ClassLearner(DescentLearner):
    """Trains an encoder with classes.

    Args:
        encoder: The encoder to start from; it is copied.
        recipe: How.
        classes: How many.
        steps: Number of steps in all.
        seed: Of the linear layer's initial weights.
    """

    def __init__(self, encoder: Encoder, recipe: Recipe, classes: int, steps: int, seed: int) -> None:
        with seeded_torch(seed, "supervised"):
            net = ClassNet(encoder.thawed(), classes)
        super().__init__(net.to(encoder.device), recipe.descent, steps)
        self.recipe = recipe

    def step(self, pixels: Tensor, shares: Tensor, generator: torch.Generator) -> dict[str, float]:
        """Learn from one view of each face.

        Args:
            pixels: uint8 (B, channels, size, size).
            shares: float32 (B, classes), rows sum to 1.
            generator: Where the views are drawn from.

        Returns:
            The cross-entropy ``decision``, and ``accuracy``.
        """
        self.net.train()
        loss, measures = self._look(augment(pixels, self.recipe.augmentation, generator), shares)
        self.descend(loss)
        return measures

    @torch.no_grad()
    def measure(self, pixels: Tensor, shares: Tensor) -> dict[str, float]:
        """Return the same of the faces as they are; nothing learns."""
        self.net.eval()
        return self._look(pixels, shares)[1]

    def _look(self, pixels: Tensor, shares: Tensor) -> tuple[Tensor, dict[str, float]]:
        with autocast(pixels.device):
            logits = self.net(pixels.contiguous(memory_format=torch.channels_last)).float()
        loss = F.cross_entropy(logits, shares)
        right = logits.argmax(dim=1) == shares.argmax(dim=1)
        return loss, {"decision": loss.item(), "accuracy": right.float().mean().item()}
