"""Networks of torchvision and timm by name, with random weights, and how their images are prepared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn

from ciao_stream.encoders.attach.split import attach
from ciao_stream.encoders.base import Encoder, Preprocessing
from ciao_stream.exceptions import CiaoError, did_you_mean
from ciao_stream.runtime.seeds import seeded_torch

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation per channel, where a library names none."""

SILENT = 1e-3
"""Scales of a whole layer below this, at which libraries start residual branches, are set to one in random networks:
else the last convolution would have next to no say in the map."""


def from_torchvision(name: str, seed: int) -> Encoder:
    """Build an encoder from a classification network of torchvision; size, mean and std are those of its weights.

    Raises:
        CiaoError: There is no such network, or it cannot be split.
    """
    import torchvision

    _known("torchvision", name, torchvision.models.list_models(module=torchvision.models))
    meta = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    options = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}  # they warn where it is not said
    with seeded_torch(seed, "encoder", f"torchvision:{name}"):
        network = torchvision.models.get_model(name, weights=None, **options)
    if name.startswith("squeezenet"):
        network.classifier = nn.Identity()  # a convolution to the classes of ImageNet
    return _attached(f"torchvision:{name}", network, meta.crop_size[0], meta.mean, meta.std)


def from_timm(name: str, seed: int) -> Encoder:
    """Build an encoder from a network of timm; size, mean and std are those of its default configuration.

    A tag after the name (``vit_base_patch16_clip_224.openai``) chooses the configuration; no weights are loaded.

    Raises:
        CiaoError: timm is not installed, there is no such network, or it cannot be split.
    """
    try:
        import timm
    except ImportError as error:
        raise CiaoError(f"encoder 'timm:{name}' needs timm: pip install timm") from error

    base, _, tag = name.partition(".")
    _known("timm", base, timm.list_models())
    if tag:
        tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{base}.*")]
        _known(f"timm ({base})", tag, tags)
    with seeded_torch(seed, "encoder", f"timm:{name}"):
        network = timm.create_model(name, pretrained=False, num_classes=0)
    config: Any = network.pretrained_cfg
    return _attached(f"timm:{name}", network, config["input_size"][-1], config["mean"], config["std"])


def _known(library: str, name: str, names: Iterable[str]) -> None:
    names = list(names)
    if name not in names:
        hint = did_you_mean(name.lower(), names, n=3) or f"it has {len(names)} others"
        raise CiaoError(f"unknown network {name!r} of {library}: {hint}")


def awake(network: nn.Module) -> nn.Module:
    """Set the scales of whole layers that are below :data:`SILENT` to one, in place, and return the network."""
    for key, parameter in network.named_parameters():
        is_scale = parameter.numel() == max(parameter.shape, default=1) and not key.endswith(("bias", "token"))
        if is_scale and parameter.abs().max() < SILENT:
            nn.init.ones_(parameter)
    return network


def _attached(name: str, network: nn.Module, size: int, mean: Sequence[float], std: Sequence[float]) -> Encoder:
    mean, std = (mean, std) if len(mean) == len(std) == 3 else IMAGENET
    return attach(awake(network), Preprocessing(size, "rgb", tuple(mean), tuple(std)), name)
