"""How one world learns: from one batch, or from a whole split, epoch by epoch.

Strategies, search trials and the streaming learner all use it.

References:
    - [0] Barros, Sciutti: CIAO!, 2022, https://arxiv.org/abs/2208.07221 (Eq. 5)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import NoneType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ciao_stream.encoders.encoded import EncodedFaces
from ciao_stream.exceptions import WorldError
from ciao_stream.runtime.device import autocast
from ciao_stream.runtime.expect import expect
from ciao_stream.runtime.seeds import numpy_generator, seeded_torch
from ciao_stream.worlds.losses import contrastive_loss, decision_loss, output_embedding
from ciao_stream.worlds.settings import Settings
from ciao_stream.worlds.world import World


@dataclass(frozen=True)
class StepLosses:
    """The two terms of Eq. 5 [0] in one step; ``contrast`` is None without a mask or a weight of the term."""

    decision: float
    contrast: float | None


class WorldLearner:
    """Trains one world, and nothing but its parameters.

    Args:
        world: The world. Its own settings say how it is trained.
    """

    def __init__(self, world: World) -> None:
        expect("world", world, World)
        self.world = world
        self.settings = world.settings
        mask = world.mask_parameters()
        rest = [p for p in world.parameters() if not any(p is own for own in mask)]
        groups = [{"params": rest, "factor": 1.0}]
        if mask:
            groups.insert(0, {"params": mask, "factor": self.settings.mask_rate})
        each = [[group] for group in groups] if self.settings.alternate else [groups]
        self.optimizers = [make_optimizer(groups, self.settings) for groups in each]
        self.set_rate(1)

    def fit(
        self,
        faces: EncodedFaces,
        seed: int = 0,
        *,
        epochs: range | None = None,
        step: Callable[[Tensor, Tensor], Any] | None = None,
    ) -> None:
        """Train the world on a split.

        Randomness depends on ``seed``, task and epoch alone, and torch's own generator is left untouched. A training
        that is stopped between two epochs and resumed with :meth:`state_dict` therefore ends with the same weights.

        Args:
            faces: Labelled faces of the world's task, encoded at the world's level.
            seed: Of the order of samples, balanced draws and dropout.
            epochs: The epochs to train, counted from 0; all that the settings ask for by default.
            step: Called with each batch, ``x`` and ``y`` on the world's device, in place of :meth:`step`.

        Raises:
            CiaoError: ``faces`` is not an encoded split, or another argument has another type.
            WorldError: The faces have other labels, or are encoded at another level or by another encoder.
        """
        expect("faces", faces, EncodedFaces)
        expect("seed", seed, int)
        expect("epochs", epochs, range, NoneType)
        spec, theirs = self.world.spec, faces.faces.spec
        if (spec.kind, spec.labels) != (theirs.kind, theirs.labels):
            raise WorldError(
                f"world {spec.name!r} cannot be trained on faces of task {theirs.name!r}: its labels are "
                f"{', '.join(spec.labels)} ({spec.kind}), theirs {', '.join(theirs.labels)} ({theirs.kind})"
            )
        self.world.check_batch(faces.batch(np.arange(0))[0])
        settings, device = self.settings, self.world.device
        for epoch in range(settings.epochs) if epochs is None else epochs:
            purpose = (self.world.spec.name, "epoch", epoch)
            rng = numpy_generator(seed, *purpose)
            drawn = faces.balanced(rng) if settings.balanced else faces
            self.start_epoch(epoch)
            with seeded_torch(seed, *purpose):
                for x, y in drawn.batches(settings.batch_size, rng):
                    (step or self.step)(x.to(device), y.to(device))

    def start_epoch(self, epoch: int) -> None:
        """Set the learning rate of an epoch, counted from 0, as the schedule has it."""
        share = 1.0
        if self.settings.schedule == "cosine":
            share = (1 + math.cos(math.pi * epoch / self.settings.epochs)) / 2
        self.set_rate(share)

    def set_rate(self, share: float) -> None:
        """Set the learning rate to a share of the settings' ``lr``, the mask's to ``mask_rate`` times that."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.settings.lr * group.get("factor", 1.0) * share

    def step(self, x: Tensor, y: Tensor, log_shift: Tensor | None = None) -> StepLosses:
        """Learn from one batch.

        Args:
            x: Batch at the world's level.
            y: Targets in the layout of the task's kind.
            log_shift: (n_out,), added to the outputs in the decision term only, if the class frequencies of the
                batch differ from the class prior of predictions; None for nothing.
        """
        self.world.check_batch(x)
        self.world.check_targets(x, y)
        self.world.train()
        contrasted = self.world.mask is not None and self.settings.contrast_weight > 0
        weight = self.settings.contrast_weight
        if len(self.optimizers) > 1 and contrasted:
            mask_optimizer, rest_optimizer = self.optimizers
            _, contrast = self._losses(x, y, contrasted, log_shift)
            self._update(mask_optimizer, weight * contrast)
            decision, _ = self._losses(x, y, False, log_shift)
            self._update(rest_optimizer, decision)
        else:
            decision, contrast = self._losses(x, y, contrasted, log_shift)
            self._update(self.optimizers[-1], decision + weight * contrast)
        return StepLosses(decision.item(), contrast.item() if contrasted else None)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that training moves: the world and the optimisers."""
        return {"world": self.world.state_dict(), "optimizers": [o.state_dict() for o in self.optimizers]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self.world.load_state_dict(state["world"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)

    def _losses(self, x: Tensor, y: Tensor, contrasted: bool, log_shift: Tensor | None) -> tuple[Tensor, Tensor]:
        spec, settings = self.world.spec, self.settings
        with autocast(x.device):
            masked = self.world.map(x)
            outputs = self.world.head(masked).float()
        decision = decision_loss(spec, outputs if log_shift is None else outputs + log_shift, y)
        if not contrasted:
            return decision, decision.new_zeros(())
        embedding = output_embedding(spec, outputs) if settings.contrast_on == "output" else masked.mean(dim=(2, 3))
        return decision, contrastive_loss(spec, embedding, y, settings.temperature, settings.contrast)

    def _update(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        moved = [p for group in optimizer.param_groups for p in group["params"]]
        optimizer.zero_grad()
        for parameter, gradient in zip(moved, torch.autograd.grad(loss, moved, allow_unused=True), strict=True):
            parameter.grad = gradient
        optimizer.step()


def make_optimizer(parameters: list[nn.Parameter] | list[dict[str, Any]], settings: Settings) -> torch.optim.Optimizer:
    """Make the optimiser that the settings name, over exactly these parameters, or groups of them."""
    if settings.optimizer == "adam":
        return torch.optim.AdamW(parameters, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
    return torch.optim.SGD(
        parameters,
        lr=settings.lr,
        momentum=settings.momentum,
        nesterov=settings.momentum > 0,
        weight_decay=settings.weight_decay,
    )
