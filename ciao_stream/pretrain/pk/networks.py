"""The networks of PK: autoencoder with generator, and the discriminators.

A *condition* is a face's arousal and valence, float32 (B, 2) in [-1, 1]; zeros where nothing is known of them.

References:
    - [0] Barros, Parisi, Wermter: A Personalized Affective Memory Model, ICML 2019, https://arxiv.org/abs/1904.12632
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from ciao_stream.encoders.base import Encoder

CODE = 50
"""Numbers by which a face is described, each in (-1, 1)."""

GENERATOR = (1024, 512, 256, 128, 64, 32)
"""Channels of the generator before its last layer, from the smallest map to the largest."""

SHRINK = 16
"""The smallest maps of generator and image discriminator have this share of the image's height and width."""

TILES = 16
"""Maps that the image discriminator makes of arousal, and of valence."""


class Autoencoder(nn.Module):
    """Encoder to a code, and generator from the code and a condition back to the face.

    Args:
        encoder: A trainable encoder whose images have a size that :data:`SHRINK` divides.
        width: Share of the generator's channels in [0], 1 for all.
    """

    def __init__(self, encoder: Encoder, width: float = 1.0) -> None:
        super().__init__()
        self.encoder = encoder
        self.fc = nn.Linear(math.prod(encoder.shapes()[1]), CODE)
        channels = 1 if encoder.preprocessing.channels == "gray" else 3
        self.generator = Generator(encoder.preprocessing.size, channels, width)
        nn.init.normal_(self.fc.weight, std=self.fc.in_features**-0.5)
        nn.init.zeros_(self.fc.bias)

    def forward(self, pixels: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Map uint8 pixels (B, channels, size, size) and conditions (B, 2) to codes (B, 50) and faces in [-1, 1]."""
        code = self.code(pixels)
        return code, self.generator(code, conditions)

    def code(self, pixels: Tensor) -> Tensor:
        """Map uint8 pixels (B, channels, size, size) to codes (B, 50) in (-1, 1)."""
        return torch.tanh(self.fc(self.encoder(pixels).flatten(1)))


class Generator(nn.Module):
    """Codes and conditions to faces: a linear layer, four transposed convolutions that double, two that do not.

    Args:
        size: Height and width of the faces.
        channels: 1 or 3.
        width: Share of the channels in :data:`GENERATOR`.
    """

    def __init__(self, size: int, channels: int, width: float) -> None:
        super().__init__()
        first, *doubled, last = (max(round(n * width), 4) for n in GENERATOR)
        start = size // SHRINK
        layers: list[nn.Module] = [nn.Linear(3 * CODE, first * start**2), nn.Unflatten(1, (first, start, start))]
        for n in doubled:
            layers += [nn.ReLU(), nn.ConvTranspose2d(first, n, 5, stride=2, padding=2, output_padding=1)]
            first = n
        layers += [nn.ReLU(), nn.Conv2d(first, last, 5, padding=2)]
        layers += [nn.ReLU(), nn.Conv2d(last, channels, 5, padding=2), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        for layer in layers:
            _initialise(layer)

    def forward(self, code: Tensor, conditions: Tensor) -> Tensor:
        """Map (B, 50) and (B, 2) to faces (B, channels, size, size) in [-1, 1]."""
        return self.layers(torch.cat([code, conditions.repeat_interleave(CODE, dim=1).to(code.dtype)], dim=1))


class ImageDiscriminator(nn.Module):
    """Tells faces that were photographed from faces that were generated, given their condition.

    Its normalisations have no running statistics: a batch is judged by its own, in training and afterwards.
    """

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.first = _block(channels, 16)
        self.blocks = nn.Sequential(_block(16 + 2 * TILES, 32), _block(32, 64), _block(64, 128))
        self.decision = nn.Sequential(
            nn.Flatten(), nn.Linear(128 * (size // SHRINK) ** 2, 1024), nn.LeakyReLU(0.2), nn.Linear(1024, 1)
        )
        _initialise_small(self)

    def forward(self, images: Tensor, conditions: Tensor) -> Tensor:
        """Map images in [-1, 1], (B, channels, size, size), and conditions (B, 2) to logits (B,); high is real."""
        maps = self.first(images)
        tiles = conditions.repeat_interleave(TILES, dim=1).to(maps.dtype)[:, :, None, None]
        maps = torch.cat([maps, tiles.expand(-1, -1, *maps.shape[2:])], dim=1)
        return self.decision(self.blocks(maps)).squeeze(1)


class PriorDiscriminator(nn.Sequential):
    """Tells draws of the prior, uniform in (-1, 1), from codes of faces; codes (B, 50) to logits (B, 1)."""

    def __init__(self) -> None:
        widths = (CODE, 64, 32, 16)
        layers: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise(widths):
            layers += [nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out, track_running_stats=False), nn.ReLU()]
        super().__init__(*layers, nn.Linear(widths[-1], 1))
        _initialise_small(self)


class EmotionDiscriminator(nn.Sequential):
    """Reads arousal and valence from codes: (B, 50) to (B, 2)."""

    def __init__(self) -> None:
        super().__init__(
            nn.Linear(CODE, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 2)
        )
        for layer in self:
            _initialise(layer)


def _block(n_in: int, n_out: int) -> nn.Module:
    """A convolution that halves height and width, its normalisation and activation."""
    norm = nn.BatchNorm2d(n_out, track_running_stats=False)
    return nn.Sequential(nn.Conv2d(n_in, n_out, 5, stride=2, padding=2, bias=False), norm, nn.ReLU())


def _initialise(layer: nn.Module) -> None:
    """Draw weights that keep the size of activations; a transposed convolution's output sees 1 / stride^2 of them."""
    if isinstance(layer, nn.ConvTranspose2d):
        seen = layer.in_channels * math.prod(layer.kernel_size) / math.prod(layer.stride)
        nn.init.normal_(layer.weight, std=math.sqrt(2 / seen))
    elif isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    else:
        return
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _initialise_small(discriminator: nn.Module) -> None:
    """Draw weights of a discriminator with a deviation of 0.02: with larger ones its first opinions are too firm."""
    for layer in discriminator.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
