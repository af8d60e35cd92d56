r"""The losses of PK.

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

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ciao_stream.encoders.base import Encoder


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
