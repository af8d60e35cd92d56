"""Networks of torchvision and timm by name, with random weights and their own preprocessing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from ciao_stream.encoders.attach.split import attach
from ciao_stream.encoders.base import Encoder, Preprocessing
from ciao_stream.encoders.names import check_known, check_network
from ciao_stream.runtime.seeds import seeded_torch

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation per channel, where a library gives none."""

NEAR_ZERO = 1e-3
"""Libraries initialise the scales of residual branches below this. In random networks they are set to one; otherwise
the last convolution would hardly affect the map."""


def from_torchvision(name: str, seed: int) -> Encoder:
    """Build an encoder from a classification network of torchvision, with the preprocessing of its published weights.

    Raises:
        CiaoError: There is no such network, or it cannot be split.
    """
    check_network("torchvision", name)
    import torchvision

    meta = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    options = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}  # warn without it
    with seeded_torch(seed, "encoder", f"torchvision:{name}"):
        network = torchvision.models.get_model(name, weights=None, **options)
    if name.startswith("squeezenet"):
        network.classifier = nn.Identity()  # else its last convolution computes ImageNet's classes
    return _attached(f"torchvision:{name}", network, meta.crop_size[0], meta.mean, meta.std)


def from_timm(name: str, seed: int) -> Encoder:
    """Build an encoder from a network of timm, with the preprocessing of its default configuration.

    A tag after the name (``vit_base_patch16_clip_224.openai``) selects a configuration; no weights are loaded.

    Raises:
        CiaoError: timm is not installed, there is no such network, or it cannot be split.
    """
    base, _, tag = name.partition(".")
    check_network("timm", base)
    import timm

    if tag:
        tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{base}.*")]
        check_known(f"timm ({base})", tag, tags)
    with seeded_torch(seed, "encoder", f"timm:{name}"):
        network = timm.create_model(name, pretrained=False, num_classes=0)
    config: Any = network.pretrained_cfg
    return _attached(f"timm:{name}", network, config["input_size"][-1], config["mean"], config["std"])


def undo_zero_init(network: nn.Module) -> nn.Module:
    """Set layer scales below :data:`NEAR_ZERO` to one, in place, and return the network."""
    for key, parameter in network.named_parameters():
        is_scale = parameter.numel() == max(parameter.shape, default=1) and not key.endswith(("bias", "token"))
        if is_scale and parameter.abs().max() < NEAR_ZERO:
            nn.init.ones_(parameter)
    return network


def _attached(name: str, network: nn.Module, size: int, mean: Sequence[float], std: Sequence[float]) -> Encoder:
    mean, std = (mean, std) if len(mean) == len(std) == 3 else IMAGENET
    return attach(undo_zero_init(network), Preprocessing(size, "rgb", tuple(mean), tuple(std)), name)
