"""Supervised training: cross-entropy with the classes, or the shares of votes, of all tasks together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from ciao_stream.encoders.base import Encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import FaceDataset, TaskData
from ciao_stream.pretrain.method import Batch, Measures, Method
from ciao_stream.pretrain.supervised.trainer import ClassLearner, Recipe


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

    learner: ClassLearner

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
        shares[:, [self.classes.index(label) for label in faces.spec.labels]] = faces.shares()
        return shares

    def begin(self, steps: int, seed: int) -> None:
        """Make the linear layer."""
        self.learner = ClassLearner(self.encoder, self.recipe, len(self.classes), steps, seed)

    def step(self, batch: Batch, generator: torch.Generator) -> Measures:
        """Learn from one view of each face."""
        return self.learner.step(batch.pixels, batch.labels, generator)

    def measure(self, batch: Batch, generator: torch.Generator) -> Measures:  # noqa: ARG002
        """Return loss and accuracy of the faces as they are."""
        return self.learner.measure(batch.pixels, batch.labels)

    def progress(self, measures: Measures) -> str:
        """Say how often the class is right."""
        return f"cross-entropy {measures['decision']:.2f}, classes right {measures['accuracy']:.0%}"

    def summary(self, first: Measures, last: Measures) -> str:
        """Say how that changed."""
        return f"classes right {first['accuracy']:.1%} -> {last['accuracy']:.1%}"
