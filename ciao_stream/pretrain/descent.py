"""Stochastic gradient descent as encoders are trained with it: momentum, a warm start, then a cosine to zero."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ciao_stream.encoders.base import Encoder
from ciao_stream.pretrain.method import Batch, Measures, Method
from ciao_stream.runtime.device import channels_last


@dataclass(frozen=True)
class Descent:
    """How the weights move.

    Args:
        lr: Largest learning rate; it rises over the first ``warmup`` share of the steps, then falls as a cosine to 0.
        momentum: Nesterov's.
        weight_decay: Of weights of convolutions and linear layers; norms and biases have none.
        warmup: Share of the steps, in [0, 1).
    """

    lr: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup: float = 0.05


class DescentLearner(ABC):
    """Moves the parameters of a network down the gradient of a loss, which a derived class defines.

    Args:
        net: What is trained, with the encoder as its attribute ``encoder``; it is laid out with channels last.
        how: How the weights move.
        steps: Number of steps in all.
    """

    def __init__(self, net: nn.Module, how: Descent, steps: int) -> None:
        self.net: Any = net
        self.how = how
        self.steps = steps
        self.step_count = 0
        channels_last(net)
        decayed = [p for p in net.parameters() if p.ndim > 1]
        others = [p for p in net.parameters() if p.ndim <= 1]
        self.optimizer = torch.optim.SGD(
            [{"params": decayed, "weight_decay": how.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=how.lr,
            momentum=how.momentum,
            nesterov=True,
        )

    @abstractmethod
    def look(self, pixels: Tensor, shares: Tensor, generator: torch.Generator) -> tuple[Tensor, Measures]:
        """Return the loss of a batch, a scalar, and what to report of it; see :meth:`step`."""

    def step(self, pixels: Tensor, shares: Tensor, generator: torch.Generator) -> Measures:
        """Learn from one batch.

        Args:
            pixels: uint8 (B, channels, size, size).
            shares: float32 (B, K), the share of each label; rows sum to 1.
            generator: Where the views are drawn from.
        """
        self.net.train()
        loss, measures = self.look(pixels, shares, generator)
        for group in self.optimizer.param_groups:
            group["lr"] = self.how.lr * self._share()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.step_count += 1
        return measures

    @torch.no_grad()
    def measure(self, pixels: Tensor, shares: Tensor, generator: torch.Generator) -> Measures:
        """Return what :meth:`step` would report; nothing learns."""
        self.net.eval()
        return self.look(pixels, shares, generator)[1]

    def encoder(self) -> Encoder:
        """Return a frozen copy of the network's encoder as it is now."""
        encoder: Encoder = self.net.encoder
        return encoder.frozen_copy()

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
        if done < self.how.warmup:
            return (self.step_count + 1) / (self.steps * self.how.warmup)
        return (1 + math.cos(math.pi * (done - self.how.warmup) / (1 - self.how.warmup))) / 2


class DescentMethod(Method):
    """A method whose learner is a :class:`DescentLearner`.

    Args:
        encoder: The encoder to start from.
        recipe: How.
    """

    extendable = False
    learner: DescentLearner

    def __init__(self, encoder: Encoder, recipe: Any) -> None:
        self.encoder = encoder
        self.recipe = recipe

    def step(self, batch: Batch, generator: torch.Generator) -> Measures:
        """Learn from one batch."""
        return self.learner.step(batch.pixels, batch.labels, generator)

    def measure(self, batch: Batch, generator: torch.Generator) -> Measures:
        """Return what a step would report."""
        return self.learner.measure(batch.pixels, batch.labels, generator)
