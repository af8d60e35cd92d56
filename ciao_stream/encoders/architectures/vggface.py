"""VGGFace: VGG16 up to conv5_3 on 96x96 faces, as in CIAO; ``u`` has shape (512, 6, 6).

References:
    - [0] Parkhi, Vedaldi, Zisserman: Deep Face Recognition, BMVC 2015

The input is RGB in [0, 255] minus the mean of VGGFace's training faces. CIAO's own code passes BGR / 255, which the
weights were not trained on; that bug is not repeated here.
"""

from __future__ import annotations

from torch import nn

from ciao_stream.encoders.base import LastConv, Preprocessing

PREPROCESSING = Preprocessing(
    size=96, channels="rgb", mean=(129.1863 / 255, 104.7624 / 255, 93.5940 / 255), std=(1 / 255,) * 3
)


def build() -> tuple[nn.Module, LastConv]:
    """Return the trunk up to conv5_2, (3, 96, 96) -> (512, 6, 6), and the last convolution, conv5_3."""
    from torchvision.models.vgg import cfgs, make_layers

    layers = list(make_layers(cfgs["D"]).children())
    conv5_3 = max(i for i, layer in enumerate(layers) if isinstance(layer, nn.Conv2d))
    return nn.Sequential(*layers[:conv5_3]), LastConv(layers[conv5_3])
