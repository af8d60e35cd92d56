"""Supervised training: cross-entropy with the classes, or the shares of votes, of all tasks together.

It serves to compare encoders that saw fine labels with those that did not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ciao_stream.encoders.base import Encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import FaceDataset, TaskData
from ciao_stream.pretrain.augment import Augmentation, augment
from ciao_stream.pretrain.descent import Descent, DescentLearner, DescentMethod
from ciao_stream.pretrain.method import Measures
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

    def look(self, pixels: Tensor, shares: Tensor, generator: torch.Generator) -> tuple[Tensor, Measures]:
        """Return the cross-entropy, also as ``decision``, and ``accuracy``.

        Of one view of each face in training, of the faces as they are otherwise; ``shares`` is (B, classes).
        """
        if self.net.training:
            pixels = augment(pixels, self.recipe.augmentation, generator)
        with autocast(pixels.device):
            logits = self.net(pixels.contiguous(memory_format=torch.channels_last)).float()
        loss = F.cross_entropy(logits, shares)
        right = logits.argmax(dim=1) == shares.argmax(dim=1)
        return loss, {"decision": loss.item(), "accuracy": right.float().mean().item()}


class Supervised(DescentMethod):
    """Training with fine labels: the mean of the map, and one linear layer over the classes of all tasks.

    Its recipe is a :class:`Recipe`.
    """

    name = "supervised"
    measures: ClassVar[Mapping[str, str]] = {"decision": "cross-entropy", "accuracy": "class is the likeliest"}
    panels: ClassVar[Mapping[str, tuple[str, ...]]] = {"cross-entropy": ("decision",), "accuracy": ("accuracy",)}

    classes: Sequence[str] = ()

    def identity(self) -> dict[str, Any]:
        """Return the recipe and the classes."""
        return {"recipe": asdict(self.recipe), "labels": [*self.classes]}

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
        shares[:, [self.classes.index(label) for label in faces.spec.labels]] = faces.shares()
        return shares

    def begin(self, steps: int, seed: int) -> None:
        """Make the linear layer."""
        self.learner = ClassLearner(self.encoder, self.recipe, len(self.classes), steps, seed)

    def progress(self, measures: Measures) -> str:
        """Say how often the class is right."""
        return f"cross-entropy {measures['decision']:.2f}, classes right {measures['accuracy']:.0%}"

    def summary(self, first: Measures, last: Measures) -> str:
        """Say how that changed."""
        return f"classes right {first['accuracy']:.1%} -> {last['accuracy']:.1%}"
