"""The plan of a training: the options that all methods share, and those of each method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ciao_stream.benchmark.task_plan import TaskPlan
from ciao_stream.encoders import check_encoder_name
from ciao_stream.runtime.options import option

if TYPE_CHECKING:
    from ciao_stream.encoders.base import Encoder
    from ciao_stream.pretrain.method import Method


@dataclass(frozen=True)
class Plan(TaskPlan, ABC):
    """How to train, and for how long; the options that all methods share.

    Args:
        tasks: Tasks whose training faces to learn from: NAME, NAME:RULE, folder:DIR or csv:FILE.
        limit: At most N training faces per task, drawn at random.
        cache: Folder of prepared pixels.
        epochs: Passes over the faces.
        batch: Faces per step, at least two: each face is normalised over its batch.
        seed: Seed of the weights, the order of the faces and all random draws.
    """

    name: ClassVar[str]
    """The method's, as in the command."""
    about: ClassVar[tuple[str, str]]
    """Help and description of its command."""

    epochs: int = option(1, least=1)
    batch: int = option(256, least=2)
    seed: int = option(0, least=0)

    @abstractmethod
    def method(self) -> Method:
        """Return the method to train by, with these options."""


@dataclass(frozen=True)
class DescentPlan(Plan):
    """A training of any encoder by gradient descent alone.

    Args:
        encoder: Architecture, from random weights; or a folder with encoder.json to start from.
        lr: Maximum learning rate.
        weight_decay: Weight decay.
    """

    encoder: str = "ciao-face"
    lr: float = option(0.2, above=0, most=1)
    weight_decay: float = option(5e-4, least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_encoder_name(self.encoder)

    def first_encoder(self) -> Encoder:
        """Return the encoder to start from: one of random weights by name, or the trained one of a folder."""
        from ciao_stream.encoders import load_encoder
        from ciao_stream.encoders.untrained import untrained_encoder

        load = load_encoder if (Path(self.encoder) / "encoder.json").is_file() else untrained_encoder
        return load(self.encoder, seed=self.seed).to(self.device)


@dataclass(frozen=True)
class CrsContPlan(DescentPlan):
    """A training by CRS-CONT.

    Args:
        negative: Weight of negative anchors.
        instance: Weight of the contrast of logits.
        views: Weight of a further contrast, of views alone, that the paper does not have.
        temperature: Temperature of every contrast.
    """

    name: ClassVar[str] = "crs-cont"
    about: ClassVar[tuple[str, str]] = (
        "coarse-contrastive training of a general encoder",
        "Train a general encoder from coarse labels (positive, negative, neutral, surprise) and contrast. Every task "
        "needs classes or votes.",
    )

    epochs: int = option(100, least=1)
    negative: float = option(0.5, least=0)
    instance: float = option(0.4, least=0)
    views: float = option(0.0, least=0)
    temperature: float = option(0.07, above=0, most=1)

    def method(self) -> Method:
        """Return the method to train by, with these options."""
        from ciao_stream.pretrain.crs_cont import CrsCont, Recipe, Weights
        from ciao_stream.pretrain.descent import Descent

        weights = Weights(self.negative, self.instance, self.views, self.temperature)
        recipe = Recipe(Descent(lr=self.lr, weight_decay=self.weight_decay), weights)
        return CrsCont(self.first_encoder(), recipe)


@dataclass(frozen=True)
class PkPlan(Plan):
    """A training of PK.

    Args:
        lr: Learning rate.
        width: Share of the generator's channels.
        adversarial: Weight of each adversarial loss.
        identity: Folder with encoder.json of a frozen network whose features the reconstruction should preserve.
        emotion: Also train the code to predict arousal and valence.
    """

    name: ClassVar[str] = "pk"
    about: ClassVar[tuple[str, str]] = (
        "the paper's adversarial autoencoder",
        "Train the PK encoder as one half of an adversarial autoencoder, whose discriminators learn too. Arousal and "
        "valence count only if every task has them.",
    )

    epochs: int = option(2, least=1)
    batch: int = option(49, least=2)
    lr: float = option(2e-4, above=0, most=1)
    width: float = option(1.0, above=0, most=1)
    adversarial: float = option(0.01, above=0, most=1)
    identity: Path | None = option(None, metavar="DIR")
    emotion: bool = option(False, switch=True)

    def method(self) -> Method:
        """Return the method to train by, with these options."""
        from ciao_stream.encoders import load_encoder
        from ciao_stream.encoders.saved import load_saved
        from ciao_stream.pretrain.pk.method import Pk
        from ciao_stream.pretrain.pk.trainer import Recipe, Weights

        weights = Weights(prior=self.adversarial, image=self.adversarial)
        recipe = Recipe(lr=self.lr, width=self.width, emotion=self.emotion, weights=weights)
        identity = None if self.identity is None else load_saved(self.identity).to(self.device)
        return Pk(load_encoder("pk", seed=self.seed).to(self.device), recipe, identity)


@dataclass(frozen=True)
class SupervisedPlan(DescentPlan):
    """A training with fine labels."""

    name: ClassVar[str] = "supervised"
    about: ClassVar[tuple[str, str]] = (
        "training with fine labels",
        "Train an encoder with the classes of its tasks, to compare with encoders that never saw them. Every task "
        "needs classes or votes.",
    )

    epochs: int = option(30, least=1)

    def method(self) -> Method:
        """Return the method to train by, with these options."""
        from ciao_stream.pretrain.descent import Descent
        from ciao_stream.pretrain.supervised import Recipe, Supervised

        recipe = Recipe(Descent(lr=self.lr, weight_decay=self.weight_decay))
        return Supervised(self.first_encoder(), recipe)
