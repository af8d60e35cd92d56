"""PK, the "prior knowledge" encoder of CIAO: four 5x5 stride-2 convolutions on 96x96 BGR; ``u`` has shape (512, 6, 6).

References:
    - [0] Barros, Parisi, Wermter: A Personalized Affective Memory Model, ICML 2019, https://arxiv.org/abs/1904.12632

TensorFlow's ``SAME`` padding of a stride-2 5x5 kernel on an even size is (1, 2) on each axis, not (2, 2).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from ciao_stream.encoders.base import LastConv, Preprocessing

PREPROCESSING = Preprocessing(size=96, channels="bgr", mean=(0.5,) * 3, std=(0.5,) * 3)


class SameConv2d(nn.Conv2d):
    """A 5x5 stride-2 convolution with TensorFlow's padding for inputs of even size."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=5, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, 2n, 2n) to (B, C', n, n)."""
        return super().forward(F.pad(x, (1, 2, 1, 2)))


def build() -> tuple[nn.Module, LastConv]:
    """Return the trunk, (3, 96, 96) -> (256, 12, 12), and the last convolution."""
    trunk = nn.Sequential(
        SameConv2d(3, 64),  # 48 x 48
        nn.ReLU(),
        SameConv2d(64, 128),  # 24 x 24
        nn.ReLU(),
        SameConv2d(128, 256),  # 12 x 12
        nn.ReLU(),
    )
    return trunk, LastConv(SameConv2d(256, 512))
