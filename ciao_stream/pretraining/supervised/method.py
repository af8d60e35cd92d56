"""Supervised training: cross-entropy with the classes, or the shares of votes, of all tasks together."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ciao_stream.encoder import Encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces import FaceDataset, TaskData
from ciao_stream.precision import autocast, channels_last
from ciao_stream.pretraining.augment import Augmentation, augment
from ciao_stream.pretraining.descent import Descender, Descent
from ciao_stream.pretraining.method import Batch, Measures, Method
from ciao_stream.seeds import seeded_torch


@dataclass(frozen=True)
class Recipe:
    """How an encoder is trained with classes.

    Args:
        descent: How the weights move.
        augmentation: How far a face is changed before it is learned from.
    """

    descent: Descent = field(default_factory=Descent)
    augmentation: Augmentation = field(default_factory=Augmentation)


class Supervised(Method):
    """Training with fine labels: the mean of the map, and one linear layer over the classes of all tasks.

    Args:
        encoder: The encoder to start from.
        recipe: How.
    """

    name = "supervised"
    extendable = False
    measures: ClassVar[Mapping[str, str]] = {"decision": "cross-entropy", "accuracy": "class is the likeliest"}
    panels: ClassVar[Mapping[str, tuple[str, ...]]] = {"cross-entropy": ("decision",), "accuracy": ("accuracy",)}

    def __init__(self, encoder: Encoder, recipe: Recipe) -> None:
        self.encoder = encoder
        self.recipe = recipe
        self.classes: list[str] = []

    def identity(self) -> dict[str, Any]:
        """Return the recipe and the classes."""
        return {"recipe": asdict(self.recipe), "labels": self.classes}

    def admit(self, tasks: Sequence[TaskData]) -> None:
        """Collect the classes.

        Raises:
            CiaoError: A task has none.
        """
        for task in tasks:
            if not task.spec.has_classes:
                raise CiaoError(f"task {task.spec.name!r} is {task.spec.kind}: supervised training needs classes")
        self.classes = [*dict.fromkeys(label for task in tasks for label in task.spec.labels)]

    def labels(self, faces: FaceDataset) -> npt.NDArray[np.float32]:
        """Return the share of each class, (N, number of classes)."""
        shares = np.zeros((len(faces), len(self.classes)), np.float32)
        fine = np.eye(faces.spec.n_out)[faces.targets] if faces.spec.kind == "categorical" else faces.targets
        shares[:, [self.classes.index(label) for label in faces.spec.labels]] = fine
        return shares

    def begin(self, steps: int, seed: int) -> None:
        """Make the linear layer."""
        with seeded_torch(seed, self.name):
            head = nn.Linear(self.encoder.shapes()[1][0], len(self.classes))
        self.net = nn.ModuleDict({"encoder": self.encoder.thawed(), "head": head}).to(self.encoder.device)
        channels_last(self.net)
        self.descender = Descender(self.net, self.recipe.descent, steps)

    def step(self, batch: Batch, generator: torch.Generator) -> Measures:
        """Learn from one view of each face."""
        self.net.train()
        loss, measures = self._look(augment(batch.pixels, self.recipe.augmentation, generator), batch.labels)
        self.descender.step(loss)
        return measures

    @torch.no_grad()
    def measure(self, batch: Batch, generator: torch.Generator) -> Measures:  # noqa: ARG002
        """Return loss and accuracy of the faces as they are."""
        self.net.eval()
        return self._look(batch.pixels, batch.labels)[1]

    def trained(self) -> Encoder:
        """Return the encoder, without the linear layer."""
        now: Any = self.net["encoder"]
        return Encoder(now.name, now.preprocessing, copy.deepcopy(now.trunk), copy.deepcopy(now.last))

    def state_dict(self) -> dict[str, Any]:
        """Return network and optimiser."""
        return {"net": self.net.state_dict(), "descender": self.descender.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore them."""
        self.net.load_state_dict(state["net"])
        self.descender.load_state_dict(state["descender"])

    def progress(self, measures: Measures) -> str:
        """Say how often the class is right."""
        return f"cross-entropy {measures['decision']:.2f}, classes right {measures['accuracy']:.0%}"

    def summary(self, first: Measures, last: Measures) -> str:
        """Say how that changed."""
        return f"classes right {first['accuracy']:.1%} -> {last['accuracy']:.1%}"

    def _look(self, pixels: Tensor, shares: Tensor) -> tuple[Tensor, Measures]:
        with autocast(pixels.device):
            pooled = self.net["encoder"](pixels.contiguous(memory_format=torch.channels_last)).mean(dim=(2, 3))
            logits = self.net["head"](pooled)
        loss = F.cross_entropy(logits.float(), shares)
        right = logits.argmax(dim=1) == shares.argmax(dim=1)
        return loss, {"decision": loss.item(), "accuracy": right.float().mean().item()}
