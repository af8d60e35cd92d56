"""Mask networks of CAFE (:mod:`strategies.base.cafe`): the authors' ResNet-18, and one as small as a CIAO mask."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet18

LEAST_SIZE = 32
"""Pixels on a side that a network which halves an image five times needs. On smaller ones its last strided convolution
has a single position, and its gradient in bfloat16 came out different each time (torch 2, CPU)."""

WIDTHS = (32, 64, 128, 256)
"""Channels of the 3x3 convolutions: 0.45 million parameters for masks of 256 channels, 0.52 million for 512."""


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


def small_mask(channels: int, n_out: int) -> nn.Sequential:
    """Return four convolutions, each halving the image, then global mean and a linear layer to the logits of a mask.

    Args:
        channels: Of the images, 1 or 3.
        n_out: Number of logits.
    """
    layers: list[nn.Module] = []
    for width in WIDTHS:
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, n_out))
