"""ciao-face: a small residual network for gray 48x48 faces, fast on a CPU; ``u`` has shape (256, 6, 6).

References:
    - [0] He et al.: Deep Residual Learning, CVPR 2016, https://arxiv.org/abs/1512.03385

The first layers reduce the resolution to a quarter per side, because most of the time would otherwise go into low-level
features. For the training data of the weights and the limits of their use, see ``docs/ciao-face.md``.
"""

from __future__ import annotations

from torch import Tensor, nn

from ciao_stream.encoders.base import LastConv, Preprocessing

PREPROCESSING = Preprocessing(size=48, channels="gray", mean=(0.5,), std=(0.25,))


class Residual(nn.Module):
    """Two convolutions with a residual connection [0]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to the same shape, all values >= 0."""
        return (self.second_norm(self.second(self.first_norm(self.first(x)).relu())) + x).relu()


def build() -> tuple[nn.Module, LastConv]:
    """Return the trunk, (1, 48, 48) -> (128, 6, 6), and the last convolution with its norm."""
    trunk = nn.Sequential(
        nn.InstanceNorm2d(1),  # removes brightness and contrast
        *_convolution(1, 32, kernel=5, stride=2),  # 24 x 24
        *_convolution(32, 64, kernel=3, stride=1),
        nn.MaxPool2d(2),  # 12 x 12
        Residual(64),
        Residual(64),
        *_convolution(64, 128, kernel=3, stride=2),  # 6 x 6
        Residual(128),
        Residual(128),
        Residual(128),
    )
    return trunk, LastConv(nn.Conv2d(128, 256, 3, padding=1, bias=False), nn.BatchNorm2d(256))


def _convolution(width: int, channels: int, kernel: int, stride: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(width, channels, kernel, stride, kernel // 2, bias=False)
    return conv, nn.BatchNorm2d(channels), nn.ReLU()
