r"""How PK learns from one batch: first the discriminators, then encoder and generator; and its losses.

With a face :math:`x`, its condition :math:`c`, its code :math:`z = E(x)`, its reconstruction :math:`G(z, c)` and a draw
:math:`p` of the prior, the discriminators minimise

.. math:: L_{img} = H(1, D_{img}(x, c)) + H(0, D_{img}(G(z, c), c)), \qquad L_{prior} = H(1, D_z(p)) + H(0, D_z(z))

where :math:`H(t, l)` is the binary cross-entropy of target :math:`t` and logit :math:`l`; encoder and generator
minimise

.. math:: |x - G(z, c)|_1 + 0.3\, L_{id} + 0.01\, H(1, D_z(z)) + 0.01\, H(1, D_{img}(G(z, c), c))
          + 0.001\, |D_{em}(z) - c|^2

References:
    - [0] Barros, Parisi, Wermter: A Personalized Affective Memory Model, ICML 2019, https://arxiv.org/abs/1904.12632
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ciao_stream.encoders.base import Encoder
from ciao_stream.pretrain.method import Batch
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
class Weights:
    """Weights of the parts of the autoencoder's loss besides the reconstruction, whose weight is 1.

    Args:
        identity: Of the distance of features; it counts where a feature network is given.
        prior: Of passing for a draw of the prior.
        image: Of passing for a photograph.
        emotion: Of arousal and valence being readable from the code.
    """

    identity: float = 0.3
    prior: float = 0.01
    image: float = 0.01
    emotion: float = 0.001


def passes_for(real: bool, logits: Tensor) -> Tensor:
    """Return the binary cross-entropy of logits with "all are real", or with "none is"; a scalar."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))


def discrimination(real: Tensor, made: Tensor) -> Tensor:
    """Return what a discriminator minimises, from its logits on real and on made samples; a scalar."""
    return passes_for(True, real) + passes_for(False, made)


def accuracy(real: Tensor, made: Tensor) -> Tensor:
    """Return the share of samples that a discriminator's logits tell right, half of each kind; chance is 0.5."""
    return ((real > 0).float().mean() + (made <= 0).float().mean()) / 2


class FeatureDistance(nn.Module):
    r"""How far two faces are apart in the eyes of a frozen network: :math:`L_{id} = \sum_l |f_l(x) - f_l(y)|_1 / hw`.

    The paper takes five convolutions of VGG-Face, the second at each resolution. Here it is the last convolution
    at each resolution of any encoder, rectified; :math:`|\cdot|_1` is the mean over the map of height h and width w.

    Args:
        network: The frozen encoder.
        colours: Order of the channels of the faces, ``rgb`` or ``bgr``.
    """

    GRAY = (0.299, 0.587, 0.114)
    """Shares of red, green and blue."""

    def __init__(self, network: Encoder, colours: str) -> None:
        super().__init__()
        self.network = network
        self.colours = colours
        self._maps: dict[torch.Size, Tensor] = {}
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_hook(self._keep)

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        """Return the distance of two batches of faces in [-1, 1], (B, 3, size, size); a scalar."""
        with torch.no_grad():
            targets = self._features(real)
        pairs = zip(self._features(made), targets, strict=True)
        return torch.stack([(a - b).abs().mean() / (a.shape[2] * a.shape[3]) for a, b in pairs]).sum()

    def _keep(self, _layer: nn.Module, _inputs: object, output: Tensor) -> None:
        self._maps[output.shape[2:]] = output

    def _features(self, images: Tensor) -> list[Tensor]:
        self._maps.clear()
        self.network.last(self.network.trunk(self._prepared(images)))
        features = [m.float().relu() for m in self._maps.values()]
        self._maps.clear()
        return features

    def _prepared(self, images: Tensor) -> Tensor:
        """Return faces as the network's own preprocessing would hand them over, with a gradient."""
        how = self.network.preprocessing
        rgb = (images.float() + 1) / 2
        if self.colours == "bgr":
            rgb = rgb.flip(1)
        if how.channels == "gray":
            rgb = (rgb * rgb.new_tensor(self.GRAY).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
        elif how.channels == "bgr":
            rgb = rgb.flip(1)
        if rgb.shape[-1] != how.size:
            rgb = F.interpolate(rgb, size=(how.size, how.size), mode="bilinear", antialias=True)
        return how.normalise(rgb * 255)


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
            batch: Faces, with their conditions as labels.
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
            image = self.discriminators["image"](images, batch.labels.repeat(2, 1)).float()
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
        return F.mse_loss(read, batch.labels)

    def _update(self, name: str, module: nn.Module, loss: Tensor) -> None:
        """Move the parameters of one network down the gradient; no other network even gets one."""
        moved = list(module.parameters())
        for parameter, gradient in zip(moved, torch.autograd.grad(loss, moved), strict=True):
            parameter.grad = gradient
        self.optimizers[name].step()
        self.optimizers[name].zero_grad()
