"""ResNet-18 on 112x112 RGB faces; ``u`` has shape (512, 4, 4).

References:
    - [0] He et al.: Deep Residual Learning, CVPR 2016, https://arxiv.org/abs/1512.03385

The last convolution is inside a residual block, so ``z`` holds the input of the convolution and that of the block:
512 + 512 channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ciao_stream.encoders.base import LastConv, Preprocessing

PREPROCESSING = Preprocessing(size=112, channels="rgb", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


class HalfBlock(nn.Module):
    """First half of a basic residual block; keeps the input of the block for the residual sum."""

    def __init__(self, conv: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, 2C, h, w): the activation, then the input."""
        return torch.cat([self.norm(self.conv(x)).relu(), x], dim=1)


def build() -> tuple[nn.Module, LastConv]:
    """Return the trunk, (3, 112, 112) -> (1024, 4, 4), and the last convolution with its norm and residual input."""
    from torchvision.models import resnet18

    net = resnet18(weights=None)
    first, block = net.layer4
    trunk = nn.Sequential(
        net.conv1, net.bn1, net.relu, net.maxpool, net.layer1, net.layer2, net.layer3,
        first, HalfBlock(block.conv1, block.bn1),
    )  # fmt: skip
    return trunk, LastConv(block.conv2, block.bn2, skip_channels=block.conv2.out_channels)
