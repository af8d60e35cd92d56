r"""CRS-CONT: a general face encoder from coarse labels, by supervised contrast.

With two views of each face of a batch, their projections :math:`z`, and coarse logits :math:`c`:

.. math:: L = L_{sup}(z) + L_{ce}(c) + 0.4\, L_{ins}(c)

- :math:`L_{sup}`: supervised contrast (Eq. 2 of [1]) of both views by coarse label, each anchor weighted: 0.5 for a
  negative one, else 1. The weight keeps the many kinds of negative expressions from collapsing into one [0].
- :math:`L_{ce}`: cross-entropy of the first view's logits with the coarse label.
- :math:`L_{ins}`: contrast of the softmax of the logits, L2-normalised, in which only the two views of one face are
  alike.

References:
    - [0] Li, Wang, Ding, Yang: CRS-CONT: A Well-Trained General Encoder for Facial Expression Analysis, IEEE
      Transactions on Image Processing 31, 2022, and its code, where the paper's text is silent
    - [1] Khosla et al.: Supervised Contrastive Learning, NeurIPS 2020, https://arxiv.org/abs/2004.11362
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ciao_stream.encoders.base import Encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import FaceDataset, TaskData
from ciao_stream.faces.task import TaskSpec
from ciao_stream.pretrain.augment import Augmentation, augment
from ciao_stream.pretrain.descent import Descent, DescentLearner, DescentMethod
from ciao_stream.pretrain.method import Measures
from ciao_stream.runtime.device import autocast
from ciao_stream.runtime.seeds import seeded_torch
from ciao_stream.worlds.losses import contrastive

COARSE: tuple[str, ...] = ("positive", "negative", "neutral", "surprise")
"""The coarse labels; the authors' code names the second and the fourth, the other two follow by elimination."""

COARSE_OF: dict[str, str] = {
    "neutral": "neutral",
    "happiness": "positive",
    "surprise": "surprise",
    "sadness": "negative",
    "anger": "negative",
    "disgust": "negative",
    "fear": "negative",
    "contempt": "negative",
}
"""Which coarse label each emotion has."""

NEGATIVE = COARSE.index("negative")


def coarse_columns(spec: TaskSpec) -> npt.NDArray[np.int64]:
    """Return, for each label of a task, the index of its coarse label.

    Raises:
        CiaoError: The task has no classes, or a class that is not an emotion.
    """
    if not spec.has_classes:
        raise CiaoError(f"task {spec.name!r} is {spec.kind}: coarse labels come from classes or votes")
    if unknown := [label for label in spec.labels if label not in COARSE_OF]:
        raise CiaoError(f"task {spec.name!r}: no coarse label for {', '.join(unknown)}; known: {', '.join(COARSE_OF)}")
    return np.array([COARSE.index(COARSE_OF[label]) for label in spec.labels])


def coarse_shares(faces: FaceDataset) -> npt.NDArray[np.float32]:
    """Return how far each face bears each coarse label.

    Votes are summed over the emotions of a coarse label; a class counts as all of the votes. Nothing finer is kept.

    Args:
        faces: A split whose labels are all emotions.

    Returns:
        float32 (N, 4), rows sum to 1, in the order of :data:`COARSE`.

    Raises:
        CiaoError: As :func:`coarse_columns`.
    """
    columns = coarse_columns(faces.spec)
    fine = faces.shares()
    return np.stack([fine[:, columns == k].sum(axis=1) for k in range(len(COARSE))], axis=1).astype(np.float32)


@dataclass(frozen=True)
class Weights:
    """Weights of the parts.

    Args:
        negative: Of negative anchors in the supervised contrast; 1 for the others.
        instance: Of the contrast of coarse logits.
        views: Of a further contrast of projections, in which only the two views of one face are alike (SimCLR). It is
            no part of CRS-CONT: 0 there.
        temperature: Of every contrast.
    """

    negative: float = 0.5
    instance: float = 0.4
    views: float = 0.0
    temperature: float = 0.07


class Parts(NamedTuple):
    """The parts of one batch's loss, scalars, before their weights."""

    supervised: Tensor
    coarse: Tensor
    instance: Tensor
    views: Tensor

    def total(self, weights: Weights) -> Tensor:
        """Return the weighted sum."""
        return self.supervised + self.coarse + weights.instance * self.instance + weights.views * self.views


def loss_parts(projections: Tensor, private: Tensor | None, logits: Tensor, shares: Tensor, weights: Weights) -> Parts:
    """Return the parts of the loss.

    Args:
        projections: (2B, D), of the first views, then of the second ones.
        private: (2B, D), the projections of the further contrast; None where that has no weight.
        logits: (2B, 4), coarse, in the same order.
        shares: float32 (B, 4), coarse shares; the largest is the coarse label of the contrast.
        weights: Temperatures and weights.
    """
    n = len(shares)
    labels = shares.argmax(dim=1)
    anchors = torch.where(labels == NEGATIVE, weights.negative, 1.0)
    faces = torch.arange(n, device=shares.device).repeat(2)
    t = weights.temperature
    return Parts(
        contrastive(projections, labels.repeat(2), t, "supcon", anchors.repeat(2)),
        F.cross_entropy(logits[:n], shares),
        contrastive(logits.softmax(dim=1), faces, t, "supcon"),
        logits.new_zeros(()) if private is None else contrastive(private, faces, t, "supcon"),
    )


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

    def look(self, pixels: Tensor, shares: Tensor, generator: torch.Generator) -> tuple[Tensor, Measures]:
        """Return the loss of two views of each face, its parts before their weights, and the accuracy.

        ``shares`` are coarse, (B, 4), and so is ``accuracy``.
        """
        how = self.recipe.augmentation
        views = torch.cat([augment(pixels, how, generator) for _ in range(2)])
        with autocast(pixels.device):
            projections, private, logits = self.net(views.contiguous(memory_format=torch.channels_last))
        private = None if private is None else private.float()
        parts = loss_parts(projections.float(), private, logits.float(), shares, self.recipe.weights)
        right = logits.argmax(dim=1) == shares.argmax(dim=1).repeat(2)
        measures = {
            name: part.item() for name, part in parts._asdict().items() if name != "views" or private is not None
        }
        return parts.total(self.recipe.weights), {**measures, "accuracy": right.float().mean().item()}


def _projection(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, PROJECTION))


class CrsCont(DescentMethod):
    """Coarse-contrastive training of a general encoder; its recipe is a :class:`Recipe`."""

    name = "crs-cont"
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

    def progress(self, measures: Measures) -> str:
        """Say how the contrast and the coarse labels go."""
        return f"contrast {measures['supervised']:.2f}, coarse labels right {measures['accuracy']:.0%}"

    def summary(self, first: Measures, last: Measures) -> str:
        """Say how the contrast and the coarse labels changed."""
        return (
            f"contrast {first['supervised']:.2f} -> {last['supervised']:.2f}, "
            f"coarse labels right {first['accuracy']:.1%} -> {last['accuracy']:.1%}"
        )
