"""Publishers' networks of faces, built anew with random weights, and the files of them in their publishers' layouts."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import timm
import torch
import torchvision
from torch import Tensor, nn

VGG_FACE = [
    "conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv4_1", "conv4_2", "conv4_3",
    "conv5_1", "conv5_2", "conv5_3",
]  # fmt: skip
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
SMALL = {"architecture": "timm:vit_xsmall_patch16_clip_224"}


@dataclass(frozen=True)
class Published:
    """A publisher's network and file.

    Args:
        map: The network's map of faces.
        size: Of the faces.
        state: The tensors of the file.
        used: One of them that the map depends on.
        unused: Some that it does not depend on.
        changes: To the entry of the manifest.
    """

    map: Callable[[Tensor], Tensor]
    size: int
    state: dict[str, Tensor]
    used: str
    unused: tuple[str, ...] = ()
    changes: dict[str, str] = field(default_factory=dict)


def stirred(network):
    """Give every tensor random values, so that a missing or exchanged one shows."""
    torch.manual_seed(1)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.modules.batchnorm._NormBase):
                nn.init.uniform_(layer.running_mean, -0.1, 0.1)
                nn.init.uniform_(layer.running_var, 0.9, 1.1)
        for parameter in network.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return network.eval()


def normalised(pixels, mean, std):
    return (pixels.float() / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def vggface():
    """VGG16's convolutions, and the publisher's file of them (with smaller linear layers)."""
    features = stirred(torchvision.models.vgg16(weights=None).features)
    convolutions = [layer for layer in features if isinstance(layer, nn.Conv2d)]
    state = {}
    for layer, convolution in zip(VGG_FACE, convolutions, strict=True):
        state |= {f"{layer}.weight": convolution.weight.detach(), f"{layer}.bias": convolution.bias.detach()}
    for layer, rows, columns in (("fc6", 4, 25088), ("fc7", 4, 4), ("fc8", 2622, 4)):
        state |= {f"{layer}.weight": torch.randn(rows, columns), f"{layer}.bias": torch.randn(rows)}
    means = torch.tensor([129.1863, 104.7624, 93.5940]).view(3, 1, 1)
    return Published(lambda x: features[:30](x.float() - means), 96, state, "conv1_2.weight", ("fc7.weight",))


def msceleb():
    """ResNet-18, and a file of it: many identities, several GPUs, before torch 0.4.1."""
    network = stirred(torchvision.models.resnet18(weights=None))
    state = {key: tensor for key, tensor in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    state |= {"fc.weight": torch.randn(1500, 512), "fc.bias": torch.randn(1500)}
    state = {f"module.{key}": tensor for key, tensor in state.items()}
    convolutions = nn.Sequential(*[*network.children()][:-2])
    return Published(
        lambda x: convolutions(normalised(x, *IMAGENET)), 224, state, "module.layer1.0.bn2.running_mean",
        ("module.fc.weight",),
    )  # fmt: skip


def hsemotion():
    """EfficientNet-B0."""
    network = stirred(timm.create_model("tf_efficientnet_b0", pretrained=False, num_classes=0))
    whole = lambda x: network.forward_features(normalised(x, *IMAGENET))  # noqa: E731
    return Published(whole, 224, network.state_dict(), "conv_head.weight")


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})

    def forward(self, x):
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        return x + self.mlp["c_proj"](nn.functional.gelu(self.mlp["c_fc"](self.ln_2(x))))


class Tower(nn.Module):
    """OpenAI's image tower with OpenAI's names, in the size of timm's smallest (with GELU)."""

    def __init__(self, width=256, depth=10, heads=4, patch=16, grid=14):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(width))
        self.positional_embedding = nn.Parameter(torch.randn(grid**2 + 1, width))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = nn.ModuleDict({"resblocks": nn.Sequential(*(Block(width, heads) for _ in range(depth)))})
        self.proj = nn.Parameter(torch.randn(width, 32))

    def forward(self, x):
        """Return the grid of tokens."""
        x = self.conv1(x).flatten(2).mT
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], 1) + self.positional_embedding
        x = self.ln_post(self.transformer["resblocks"](self.ln_pre(x)))[:, 1:]
        return x.mT.unflatten(2, (14, 14))


TEXT = {
    "positional_embedding": torch.randn(77, 32), "token_embedding.weight": torch.randn(9, 32),
    "transformer.resblocks.0.ln_1.weight": torch.randn(32), "ln_final.weight": torch.randn(32),
    "text_projection": torch.randn(32, 32), "logit_scale": torch.tensor(4.6),
}  # fmt: skip
GUESSING = {
    "visual.mask_token": torch.randn(256), "visual.lm_head.weight": torch.randn(5, 256),
    "visual.lm_transformer.resblocks.0.ln_1.weight": torch.randn(256), "visual.ln_lm.bias": torch.randn(256),
}  # fmt: skip


def clip():
    """CLIP's image tower, in a file with its text tower."""
    tower = stirred(Tower())
    state = {**{f"visual.{key}": tensor for key, tensor in tower.state_dict().items()}, **TEXT}
    used = "visual.transformer.resblocks.3.attn.in_proj_bias"
    unused = ("visual.proj", "ln_final.weight")
    return Published(lambda x: tower(normalised(x, *CLIP)), 224, state, used, unused, SMALL)


def farl():
    """The same in half precision, with a branch for masked patches."""
    tower = stirred(Tower()).half().float()
    state = {**{f"visual.{key}": tensor for key, tensor in tower.state_dict().items()}, **TEXT, **GUESSING}
    state = {key: tensor.half() for key, tensor in state.items()}
    return Published(lambda x: tower(normalised(x, *CLIP)), 224, state, "visual.conv1.weight", (*GUESSING,), SMALL)


BUILD = {
    "vggface": vggface, "msceleb-resnet18": msceleb, "hsemotion-b0": hsemotion, "clip-vit-b16": clip, "farl-b16": farl,
}  # fmt: skip


@functools.cache
def published(name):
    """Return what was published under the name of weights."""
    return BUILD[name]()
