"""FaceChannel V1: nine 3x3 convolutions on gray 64x64 faces, then the last one; ``u`` has shape (256, 8, 8).

References:
    - [0] Barros, Churamani, Sciutti: The FaceChannel, FG 2020, https://arxiv.org/abs/2004.08195

The published network has an inhibitory convolution next to its last one; here each world has its own.
"""

from __future__ import annotations

from torch import nn

from ciao_stream.encoders.base import LastConv, Preprocessing

PREPROCESSING = Preprocessing(size=64, channels="gray", mean=(0.5,), std=(0.25,))
BLOCKS = ((64, 64), (128, 128), (128, 128, 128))
"""Output channels of the convolutions of each block, which ends with a 2x2 max pool and dropout."""


def build() -> tuple[nn.Module, LastConv]:
    """Return the trunk, (1, 64, 64) -> (256, 8, 8), and the last convolution."""
    layers: list[nn.Module] = []
    width = 1
    for block in BLOCKS:
        for channels in block:
            layers += [nn.Conv2d(width, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
            width = channels
        layers += [nn.MaxPool2d(2), nn.Dropout(0.25)]
    for _ in range(2):
        layers += [nn.Conv2d(width, 256, 3, padding=1), nn.BatchNorm2d(256), nn.ReLU()]
        width = 256
    return nn.Sequential(*layers), LastConv(nn.Conv2d(width, 256, 3, padding=1))
