"""``cafe-small``: CAFE whose mask network is about as large as a CIAO mask: :mod:`strategies.base.cafe`."""

from __future__ import annotations

from torch import nn

from strategies.base.cafe import Cafe

WIDTHS = (32, 64, 128, 256)
"""Channels of the 3x3 convolutions: 0.45 million parameters for masks of 256 channels, 0.52 million for 512."""


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


STRATEGY = Cafe(small_mask)
