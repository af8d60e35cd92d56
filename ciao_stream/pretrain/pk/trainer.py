"""How PK learns from one batch: first the discriminators, then encoder and generator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ciao_stream.encoders.base import Encoder
from ciao_stream.pretrain.pk.losses import FeatureDistance, Weights, accuracy, discrimination, passes_for
from ciao_stream.pretrain.pk.networks import (
    CODE,
    SHRINK,
    Autoencoder,
    EmotionDiscriminator,
    ImageDiscriminator,
    PriorDiscriminator,
)
from ciao_stream.runtime.device import autocast, fast_dtype
from ciao_stream.runtime.seeds import seeded_torch


@dataclass(frozen=True)
class Recipe:
    """How PK is trained; the defaults are the paper's.

    Args:
        lr: Learning rate of every optimiser, Adam.
        beta1: First decay rate of Adam.
        width: Share of the generator's channels; 1 for all.
        emotion: Whether arousal and valence are to be readable from the code.
        weights: Of the parts of the loss.
    """

    lr: float = 2e-4
    beta1: float = 0.5
    width: float = 1.0
    emotion: bool = False
    weights: Weights = field(default_factory=Weights)


class Batch(NamedTuple):
    """Faces and what is known of them: uint8 (B, channels, size, size), and conditions, float32 (B, 2)."""

    pixels: Tensor
    conditions: Tensor


class _Made(NamedTuple):
    """What the autoencoder makes of a batch: codes (B, 50) and faces (B, channels, size, size), float32."""

    codes: Tensor
    faces: Tensor


class _Logits(NamedTuple):
    """A discriminator's logits for real and generated samples, float32 (B,) or (B, 1); high is real."""

    real: Tensor
    made: Tensor


def as_image(pixels: Tensor) -> Tensor:
    """Scale uint8 pixels to float32 in [-1, 1], the range of the generator's faces."""
    return pixels.float() / 127.5 - 1


def draw_prior(n: int, generator: torch.Generator) -> Tensor:
    """Draw codes from the prior, uniform in [-1, 1); float32 (n, 50)."""
    return torch.rand(n, CODE, generator=generator) * 2 - 1


class PkLearner:
    """Trains an encoder as one half of an adversarial autoencoder.

    Args:
        encoder: The encoder to start from; it is copied.
        recipe: How.
        seed: Of the initial weights of everything else.
        identity: A frozen network whose features are to stay the same in the reconstruction; none by default.
    """

    def __init__(self, encoder: Encoder, recipe: Recipe, seed: int = 0, identity: Encoder | None = None) -> None:
        size, gray = encoder.preprocessing.size, encoder.preprocessing.channels == "gray"
        if size % SHRINK:
            raise ValueError(f"expected images whose size is a multiple of {SHRINK} but got {size}")
        self.recipe = recipe
        with seeded_torch(seed, "pk"):
            self.autoencoder = Autoencoder(encoder.thawed(), recipe.width)
            self.discriminators = nn.ModuleDict(
                {"image": ImageDiscriminator(size, 1 if gray else 3), "prior": PriorDiscriminator()}
            )
            if recipe.emotion:
                self.discriminators["emotion"] = EmotionDiscriminator()
        self.autoencoder.to(encoder.device)
        self.discriminators.to(encoder.device)
        if encoder.device.type == "cuda" or fast_dtype(encoder.device.type) is torch.float32:
            self.autoencoder.to(memory_format=torch.channels_last)  # with bfloat16 on a CPU it gains nothing: measured
        self.distance = None if identity is None else FeatureDistance(identity, encoder.preprocessing.channels)
        self.optimizers = {
            name: torch.optim.Adam(module.parameters(), lr=recipe.lr, betas=(recipe.beta1, 0.999), fused=True)
            for name, module in {"autoencoder": self.autoencoder, **self.discriminators}.items()
        }

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.autoencoder.encoder.device

    def step(self, batch: Batch, prior: Tensor) -> dict[str, float]:
        """Let the discriminators learn from one batch, then encoder and generator, who meet the improved ones.

        Args:
            batch: Faces with conditions.
            prior: float32 (B, 50), from :func:`draw_prior`.

        Returns:
            The parts of all losses before their weights, and the discriminators' accuracies before they learned.
        """
        made = self._make(batch)
        judged = self._teach_discriminators(batch, _Made(*(tensor.detach() for tensor in made)), prior)
        return {**self._teach_autoencoder(batch, made, prior), **judged}

    def discriminator_step(self, batch: Batch, prior: Tensor) -> dict[str, float]:
        """Let only the discriminators learn; see :meth:`step`."""
        with torch.no_grad():
            made = self._make(batch)
        return self._teach_discriminators(batch, made, prior)

    def autoencoder_step(self, batch: Batch, prior: Tensor) -> dict[str, float]:
        """Let only encoder and generator learn; see :meth:`step`."""
        return self._teach_autoencoder(batch, self._make(batch), prior)

    @torch.no_grad()
    def measure(self, batch: Batch, prior: Tensor) -> dict[str, float]:
        """Return the L1 distance of the reconstructions and the discriminators' accuracies; nothing learns."""
        made = self._make(batch)
        image, drawn = self._judge(batch, made, prior)
        return {
            "reconstruction": F.l1_loss(made.faces, as_image(batch.pixels)).item(),
            "image_accuracy": accuracy(*image).item(),
            "prior_accuracy": accuracy(*drawn).item(),
        }

    @torch.no_grad()
    def reconstruct(self, batch: Batch) -> Tensor:
        """Return the generator's faces for the codes of a batch, float32 in [-1, 1]."""
        return self._make(batch).faces

    def encoder(self) -> Encoder:
        """Return a frozen copy of the encoder as it is now."""
        return self.autoencoder.encoder.frozen_copy()

    def state_dict(self) -> dict[str, Any]:
        """Return everything that training moves."""
        return {
            "autoencoder": self.autoencoder.state_dict(),
            "discriminators": self.discriminators.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self.autoencoder.load_state_dict(state["autoencoder"])
        self.discriminators.load_state_dict(state["discriminators"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])

    def _make(self, batch: Batch) -> _Made:
        with autocast(self.device):
            codes, faces = self.autoencoder(*batch)
        return _Made(codes.float(), faces.float())

    def _judge(self, batch: Batch, made: _Made, prior: Tensor) -> tuple[_Logits, _Logits]:
        """Return the logits of the image discriminator and of the prior's.

        Real and made samples go through together: what is normalised over a batch of one kind alone looks like any
        other kind, and the prior's discriminator stays at chance.
        """
        with autocast(self.device):
            images = torch.cat([as_image(batch.pixels), made.faces])
            image = self.discriminators["image"](images, batch.conditions.repeat(2, 1)).float()
            drawn = self.discriminators["prior"](torch.cat([prior, made.codes])).float()
        return _Logits(*image.chunk(2)), _Logits(*drawn.chunk(2))

    def _teach_discriminators(self, batch: Batch, made: _Made, prior: Tensor) -> dict[str, float]:
        image, drawn = self._judge(batch, made, prior)
        losses = {"image": discrimination(*image), "prior": discrimination(*drawn)}
        if "emotion" in self.discriminators:
            losses["emotion"] = self._misread(batch, made)
        for name, loss in losses.items():
            self._update(name, self.discriminators[name], loss)
        return {
            **{f"{name}_discriminator": loss.item() for name, loss in losses.items()},
            "image_accuracy": accuracy(*image).item(),
            "prior_accuracy": accuracy(*drawn).item(),
        }

    def _teach_autoencoder(self, batch: Batch, made: _Made, prior: Tensor) -> dict[str, float]:
        weights, real = self.recipe.weights, as_image(batch.pixels)
        image, drawn = self._judge(batch, made, prior)
        parts = {
            "reconstruction": F.l1_loss(made.faces, real),
            "prior": passes_for(True, drawn.made),
            "image": passes_for(True, image.made),
        }
        if self.distance is not None:
            with autocast(self.device):
                parts["identity"] = self.distance(made.faces, real)
        if "emotion" in self.discriminators:
            parts["emotion"] = self._misread(batch, made)
        loss = torch.stack([getattr(weights, name, 1.0) * part for name, part in parts.items()]).sum()
        self._update("autoencoder", self.autoencoder, loss)
        return {name: part.item() for name, part in parts.items()}

    def _misread(self, batch: Batch, made: _Made) -> Tensor:
        with autocast(self.device):
            read = self.discriminators["emotion"](made.codes).float()
        return F.mse_loss(read, batch.conditions)

    def _update(self, name: str, module: nn.Module, loss: Tensor) -> None:
        """Move the parameters of one network down the gradient; no other network even gets one."""
        moved = list(module.parameters())
        for parameter, gradient in zip(moved, torch.autograd.grad(loss, moved), strict=True):
            parameter.grad = gradient
        self.optimizers[name].step()
        self.optimizers[name].zero_grad()
