"""How a general encoder learns from one batch of faces with coarse labels."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ciao_stream.encoder import Encoder
from ciao_stream.precision import autocast
from ciao_stream.pretraining.crs_cont.augment import Augmentation, augment
from ciao_stream.pretraining.crs_cont.coarse import COARSE
from ciao_stream.pretraining.crs_cont.losses import Parts, Weights, loss_parts
from ciao_stream.seeds import seeded_torch

PROJECTION = 128
"""Dimensions in which views are contrasted."""


@dataclass(frozen=True)
class Recipe:
    """How a general encoder is trained.

    Args:
        epochs: Passes over the faces.
        batch: Faces per step, two views each.
        lr: Largest learning rate; it rises over the first ``warmup`` share of the steps, then falls as a cosine to 0.
        momentum: Of SGD, Nesterov's.
        weight_decay: Of weights of convolutions and linear layers; norms and biases have none.
        warmup: Share of the steps, in [0, 1).
        weights: Of the parts of the loss.
        augmentation: What a view may change.
    """

    epochs: int = 100
    batch: int = 128
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup: float = 0.05
    weights: Weights = field(default_factory=Weights)
    augmentation: Augmentation = field(default_factory=Augmentation)


class ContrastNet(nn.Module):
    """The encoder in training, and what is thrown away afterwards: projections and coarse logits.

    Args:
        encoder: A trainable encoder.
        views: Whether there is a projection of its own for the contrast of views.
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


class ContrastLearner:
    """Trains a general encoder.

    Args:
        encoder: The encoder to start from; it is copied.
        recipe: How.
        steps: Number of steps in all.
        seed: Of the initial weights of what is thrown away.
    """

    def __init__(self, encoder: Encoder, recipe: Recipe, steps: int, seed: int) -> None:
        with seeded_torch(seed, "crs-cont"):
            self.net = ContrastNet(encoder.thawed(), recipe.weights.views > 0)
        self.net.to(encoder.device).to(memory_format=torch.channels_last)
        self.recipe = recipe
        self.steps = steps
        self.step_count = 0
        decayed = [p for p in self.net.parameters() if p.ndim > 1]
        others = [p for p in self.net.parameters() if p.ndim <= 1]
        self.optimizer = torch.optim.SGD(
            [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=recipe.lr,
            momentum=recipe.momentum,
            nesterov=True,
        )

    def step(self, pixels: Tensor, shares: Tensor, generator: torch.Generator) -> Parts:
        """Learn from one batch.

        Args:
            pixels: uint8 (B, channels, size, size).
            shares: float32 (B, 4), coarse.
            generator: Where the views are drawn from.
        """
        self.net.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.lr * self._share()
        how = self.recipe.augmentation
        views = torch.cat([augment(pixels, how, generator) for _ in range(2)])
        with autocast(pixels.device):
            projections, private, logits = self.net(views.contiguous(memory_format=torch.channels_last))
        private = None if private is None else private.float()
        parts = loss_parts(projections.float(), private, logits.float(), shares, self.recipe.weights)
        self.optimizer.zero_grad()
        parts.total(self.recipe.weights).backward()
        self.optimizer.step()
        self.step_count += 1
        return parts

    def encoder(self) -> Encoder:
        """Return a frozen copy of the encoder as it is now."""
        now = self.net.encoder
        return Encoder(now.name, now.preprocessing, copy.deepcopy(now.trunk), copy.deepcopy(now.last))

    def state_dict(self) -> dict[str, Any]:
        """Return everything that training moves."""
        return {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(), "step_count": self.step_count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step_count = state["step_count"]

    def _share(self) -> float:
        """Return the learning rate of the coming step as a share of the largest."""
        done = self.step_count / self.steps
        if done < self.recipe.warmup:
            return (self.step_count + 1) / (self.steps * self.recipe.warmup)
        return (1 + math.cos(math.pi * (done - self.recipe.warmup) / (1 - self.recipe.warmup))) / 2


def _projection(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, PROJECTION))
