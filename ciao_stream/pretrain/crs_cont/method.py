"""CRS-CONT as a method: the labels it reads, what it measures and reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from ciao_stream.encoders.base import Encoder
from ciao_stream.faces.dataset import FaceDataset, TaskData
from ciao_stream.pretrain.crs_cont.coarse import COARSE, coarse_columns, coarse_shares
from ciao_stream.pretrain.crs_cont.trainer import ContrastLearner, Recipe
from ciao_stream.pretrain.method import Batch, Measures, Method


class CrsCont(Method):
    """Coarse-contrastive training of a general encoder.

    Args:
        encoder: The encoder to start from.
        recipe: How.
    """

    name = "crs-cont"
    extendable = False
    measures: ClassVar[Mapping[str, str]] = {
        "supervised": "contrast by coarse label",
        "coarse": "cross-entropy of coarse labels",
        "instance": "contrast of coarse logits",
        "views": "contrast of views alone",
        "accuracy": "coarse label is the likeliest",
    }
    panels: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "contrast": ("supervised", "instance", "views"),
        "cross-entropy": ("coarse",),
        "accuracy (chance 0.25)": ("accuracy",),
    }

    learner: ContrastLearner

    def __init__(self, encoder: Encoder, recipe: Recipe) -> None:
        self.encoder = encoder
        self.recipe = recipe

    def identity(self) -> dict[str, Any]:
        """Return the recipe and the coarse labels."""
        return {"recipe": asdict(self.recipe), "labels": [*COARSE]}

    def admit(self, tasks: Sequence[TaskData]) -> None:
        """Check that every task has coarse labels.

        Raises:
            CiaoError: One has none.
        """
        for task in tasks:
            coarse_columns(task.spec)

    def labels(self, faces: FaceDataset) -> npt.NDArray[np.float32]:
        """Return coarse shares, (N, 4); nothing finer leaves this function."""
        return coarse_shares(faces)

    def begin(self, steps: int, seed: int) -> None:
        """Make projections and coarse logits."""
        self.learner = ContrastLearner(self.encoder, self.recipe, steps, seed)

    def step(self, batch: Batch, generator: torch.Generator) -> Measures:
        """Learn from two views of each face."""
        return self.learner.step(batch.pixels, batch.labels, generator)

    def measure(self, batch: Batch, generator: torch.Generator) -> Measures:
        """Return the parts of the loss, and how often the coarse label is the likeliest."""
        return self.learner.measure(batch.pixels, batch.labels, generator)

    def progress(self, measures: Measures) -> str:
        """Say how the contrast and the coarse labels go."""
        return f"contrast {measures['supervised']:.2f}, coarse labels right {measures['accuracy']:.0%}"

    def summary(self, first: Measures, last: Measures) -> str:
        """Say how the contrast and the coarse labels changed."""
        return (
            f"contrast {first['supervised']:.2f} -> {last['supervised']:.2f}, "
            f"coarse labels right {first['accuracy']:.1%} -> {last['accuracy']:.1%}"
        )
