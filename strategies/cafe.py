"""``cafe``: CAFE with its authors' mask network, a ResNet-18 of 11 million parameters: :mod:`strategies.base.cafe`."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet18

from strategies.base.cafe import Cafe

LEAST_SIZE = 32
"""Pixels on a side that a network which halves an image five times needs. On smaller ones its last strided convolution
has a single position, and its gradient in bfloat16 came out different each time (torch 2, CPU)."""


class ResNetMask(nn.Module):
    """A ResNet-18 with random first weights, from images to the logits of a mask.

    Where there are 512 logits they are its pooled feature itself, as in the authors' code. That is never negative, so
    that such a mask lies in [0.5, 1): it halves a channel at most. Any other number is a linear layer on it.

    Args:
        channels: Of the images, 1 or 3; gray is shown to all three. Those smaller than :data:`LEAST_SIZE` are enlarged.
        n_out: Number of logits.
    """

    def __init__(self, channels: int, n_out: int) -> None:
        super().__init__()
        self.repeats = 3 // channels
        self.net = resnet18(weights=None)
        width = self.net.fc.in_features
        self.net.fc = nn.Identity() if n_out == width else nn.Linear(width, n_out)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, channels, size, size) to (B, n_out)."""
        if images.shape[-1] < LEAST_SIZE:
            images = F.interpolate(images, LEAST_SIZE, mode="bilinear")
        logits: Tensor = self.net(images.repeat(1, self.repeats, 1, 1))
        return logits


STRATEGY = Cafe(ResNetMask)
