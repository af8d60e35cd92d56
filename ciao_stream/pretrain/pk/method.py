"""PK as a method: the labels it reads, what it reports and shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from ciao_stream.encoders.base import Encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import FaceDataset, TaskData
from ciao_stream.faces.task import TaskSpec
from ciao_stream.pretrain.curves import Picture
from ciao_stream.pretrain.method import Batch, Measures, Method
from ciao_stream.pretrain.pk.pictures import (
    arousal_valence_sheet,
    reconstruction_sheet,
    write_arousal_valence,
    write_reconstructions,
)
from ciao_stream.pretrain.pk.trainer import PkLearner, Recipe, draw_prior

CONDITION = ("arousal", "valence")
"""What the two numbers of a condition are."""

SHOWN_ALONG = 3
"""Validation faces that are drawn along arousal and valence."""


def is_conditioned(specs: Sequence[TaskSpec]) -> bool:
    """Whether arousal and valence of every face are known; where they are not, none are made up."""
    return all(spec.kind == "dimensional" and {*CONDITION} <= {*spec.labels} for spec in specs)


class Pk(Method):
    """The paper's adversarial autoencoder.

    Args:
        encoder: The encoder to start from.
        recipe: How.
        identity: A frozen network whose features are to stay the same in the reconstruction; none by default.
    """

    name = "pk"
    extendable = True
    measures: ClassVar[Mapping[str, str]] = {
        "reconstruction": "L1 distance of face and reconstruction",
        "identity": "distance of features",
        "prior": "code passes for a draw of the prior",
        "image": "generated face passes for real",
        "emotion": "squared error of the condition read from the code",
        "image_discriminator": "image discriminator",
        "prior_discriminator": "prior discriminator",
        "emotion_discriminator": "emotion discriminator",
        "image_accuracy": "image discriminator",
        "prior_accuracy": "prior discriminator",
    }
    panels: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "reconstruction, in [0, 2]": ("reconstruction",),
        "cross-entropy": ("prior", "image", "image_discriminator", "prior_discriminator"),
        "accuracy (chance 0.5)": ("image_accuracy", "prior_accuracy"),
    }

    learner: PkLearner

    def __init__(self, encoder: Encoder, recipe: Recipe, identity: Encoder | None = None) -> None:
        self.encoder = encoder
        self.recipe = recipe
        self.features = identity
        self.specs: list[TaskSpec] = []
        self.conditioned = False

    def identity(self) -> dict[str, Any]:
        """Return the recipe and which network's features count."""
        features = None if self.features is None else self.features.fingerprint()
        return {"recipe": asdict(self.recipe), "identity_network": features}

    def admit(self, tasks: Sequence[TaskData]) -> None:
        """Find out whether arousal and valence are known.

        Raises:
            CiaoError: They are not, and the recipe needs them.
        """
        self.specs = [task.spec for task in tasks]
        self.conditioned = is_conditioned(self.specs)
        if self.recipe.emotion and not self.conditioned:
            named = ", ".join(spec.name for spec in self.specs)
            raise CiaoError(f"--emotion: arousal and valence are not known of every face of {named}")

    def labels(self, faces: FaceDataset) -> npt.NDArray[np.float32]:
        """Return conditions (N, 2) in the order of :data:`CONDITION`; zeros where nothing is known."""
        if not self.conditioned:
            return np.zeros((len(faces), len(CONDITION)), np.float32)
        columns = [faces.spec.labels.index(name) for name in CONDITION]
        return faces.targets[:, columns].astype(np.float32)

    def begin(self, steps: int, seed: int) -> None:  # noqa: ARG002
        """Make generator and discriminators."""
        self.learner = PkLearner(self.encoder, self.recipe, seed, self.features)

    def step(self, batch: Batch, generator: torch.Generator) -> Measures:
        """Let the discriminators learn, then encoder and generator."""
        return self.learner.step(batch, self._prior(batch, generator))

    def measure(self, batch: Batch, generator: torch.Generator) -> Measures:
        """Return the L1 distance of the reconstructions and the discriminators' accuracies."""
        return self.learner.measure(batch, self._prior(batch, generator))

    def progress(self, measures: Measures) -> str:
        """Say how near the reconstruction is, and how often the discriminators are right."""
        return f"L1 {measures['reconstruction']:.3f}, {_judged(measures)}"

    def summary(self, first: Measures, last: Measures) -> str:
        """Say how the reconstruction changed, and how often the discriminators are right."""
        return f"L1 {first['reconstruction']:.3f} -> {last['reconstruction']:.3f}; {_judged(last)}"

    def about(self) -> dict[str, Any]:
        """Say whether the generator knew arousal and valence."""
        return {"conditioned_on_arousal_and_valence": self.conditioned}

    def remarks(self) -> list[str]:
        """Name the parts of the paper's method that are omitted for lack of labels or weights."""
        said = []
        if not self.conditioned:
            kinds = ", ".join(f"{spec.name} is {spec.kind}" for spec in self.specs)
            said.append(
                f"unconditioned: arousal and valence are not known of every face ({kinds}); both are 0 everywhere, "
                "and no faces are drawn along them"
            )
        if self.features is None:
            said.append("no identity term: the paper's VGG-Face features are not here (--identity takes an encoder)")
        return said

    def pictures(self, faces: Batch) -> dict[str, Picture]:
        """Draw reconstructions, and faces along arousal and valence where these are known."""
        drawn = {"reconstructions": reconstruction_sheet(self.learner, faces)}
        for i, face in enumerate(faces.pixels[:SHOWN_ALONG].split(1) if self.conditioned else ()):
            drawn[f"arousal and valence of face {i}"] = arousal_valence_sheet(self.learner, face)
        return drawn

    def show(self, folder: Path, faces: Batch, title: str) -> None:
        """Write the same as images with titles and axes."""
        write_reconstructions(folder / "reconstructions.png", self.learner, faces, f"{title}: validation faces")
        if self.conditioned:
            write_arousal_valence(
                folder / "arousal_valence.png",
                self.learner,
                Batch(*(tensor[:SHOWN_ALONG] for tensor in faces)),
                f"{title}: validation faces at other arousal and valence",
            )

    def _prior(self, batch: Batch, generator: torch.Generator) -> torch.Tensor:
        return draw_prior(len(batch.pixels), generator).to(self.encoder.device)


def _judged(measures: Measures) -> str:
    image, prior = measures["image_accuracy"], measures["prior_accuracy"]
    return f"discriminators right: image {image:.0%}, prior {prior:.0%}"
