"""The encoder (the backbone of the literature): preprocessing, a trunk and a last convolution.

An image passes through the trunk once, which gives ``z``, the tensor from which the input of the last convolution is
computed. Everything that a world adapts comes after ``z``, so the feature cache keeps ``z``.
"""

from __future__ import annotations

import copy
import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ciao_stream.faces.dataset import Image, check_image
from ciao_stream.runtime.device import autocast, channels_last
from ciao_stream.runtime.expect import expect, expect_tensor
from ciao_stream.runtime.options import option, validate
from ciao_stream.runtime.seeds import seeded_torch

HALF_MAX = 65280.0
"""Limit of the absolute values of ``z`` and ``u``: the largest number that both float16, in which they are stored, and
bfloat16, in which they are computed, hold exactly. (65504, the largest float16, would round up to infinity.)"""

Level = Literal["pixels", "z", "u"]
"""Form of a face: preprocessed pixels, the output of the trunk, or the map without a mask."""


@dataclass(frozen=True)
class Preprocessing:
    """Converts an image to the input of an encoder.

    Args:
        size: Height and width in pixels.
        channels: ``gray`` (1 channel), ``rgb`` or ``bgr`` (3).
        mean: Subtracted from values in [0, 1], per channel in the order of ``channels``.
        std: Divisor after the subtraction, per channel.
    """

    size: int = option(least=1)
    channels: Literal["gray", "rgb", "bgr"] = option()
    mean: tuple[float, ...] = option()
    std: tuple[float, ...] = option(above=0)

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in ("mean", "std")}
        uneven = [n for n, values in given.items() if isinstance(values, tuple) and len(values) != self.shape[0]]
        validate(self, "preprocessing: ", [f"{name}: expected one per channel" for name in uneven])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the pixels of one image: (channels, size, size)."""
        return (1 if self.channels == "gray" else 3), self.size, self.size

    def fit(self, image: Image) -> npt.NDArray[np.uint8]:
        """Resize and convert one face.

        Args:
            image: uint8, shape (height, width) gray or (height, width, 3) RGB.

        Returns:
            uint8, shape (channels, size, size).

        Raises:
            CiaoError: The image has another type or shape.
        """
        import cv2

        check_image(image)

        if image.shape[:2] != (self.size, self.size):
            shrinks = image.shape[0] >= self.size and image.shape[1] >= self.size
            how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            image = cv2.resize(image, (self.size, self.size), interpolation=how)
        if self.channels == "gray":
            return (image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[None]
        if image.ndim == 2:
            return np.repeat(image[None], 3, axis=0)
        planes = image.transpose(2, 0, 1)
        return np.ascontiguousarray(planes if self.channels == "rgb" else planes[::-1])

    def normalise(self, pixels: Tensor) -> Tensor:
        """Return ``(pixels / 255 - mean) / std``: float32, shape (B, channels, size, size) like the uint8 input."""
        mean = torch.tensor(self.mean, device=pixels.device).view(1, -1, 1, 1)
        std = torch.tensor(self.std, device=pixels.device).view(1, -1, 1, 1)
        return (pixels.float() / 255 - mean) / std


Carry = tuple[Tensor, ...]
"""Parts of ``z`` that are needed after the last convolution, in addition to its input; each of shape (B, ...)."""


class LastUnit(nn.Module, ABC):
    """The last convolution of an encoder with the layers around it: ``z -> u -> map``, in three steps.

    :meth:`enter` computes the input of the convolution from ``z``, :meth:`activate` applies the convolution, then its
    norm and activation (:meth:`finish`), and :meth:`leave` applies the layers up to the global pooling. A mask reads
    the input of the convolution and acts between :meth:`activate` and :meth:`leave`.

    Args:
        conv: The convolution.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    @abstractmethod
    def enter(self, z: Tensor) -> tuple[Tensor, Carry]:
        """Return the input of the convolution, (B, in_channels, H, W), and the parts of ``z`` that are needed later."""

    @abstractmethod
    def finish(self, y: Tensor, carry: Carry) -> Tensor:
        """Map the output of the convolution, (B, C, h, w), to ``u``, of the same shape: norm and activation."""

    def activate(self, x: Tensor, carry: Carry) -> Tensor:
        """Map the result of :meth:`enter` to ``u``, (B, C, h, w)."""
        return self.finish(self.conv(x), carry)

    def leave(self, u: Tensor, carry: Carry) -> Tensor:  # noqa: ARG002
        """Map ``u``, masked or not, to the map before global pooling: ``u`` itself, unless more layers follow."""
        return u

    def forward(self, z: Tensor) -> Tensor:
        """Map ``z`` to the map without a mask, (B, C, h, w)."""
        x, carry = self.enter(z)
        return self.leave(self.activate(x, carry), carry)

    def bare(self) -> nn.Conv2d:
        """Return a copy of the convolution."""
        return copy.deepcopy(self.conv)

    def folding_norm(self) -> nn.BatchNorm2d | None:
        """Return the batch normalisation that directly follows the convolution, if one does."""
        return None

    def folded(self) -> nn.Conv2d:
        """Return one trainable convolution with bias that equals the convolution followed by its frozen batch norm.

        Only batch normalisation is folded, because only it is linear when frozen. Without one, the result is a copy
        of the convolution.
        """
        conv, norm = self.bare(), self.folding_norm()
        bias = conv.bias.detach() if conv.bias is not None else torch.zeros_like(conv.weight[:, 0, 0, 0])
        weight = conv.weight.detach()
        if norm is not None and norm.running_var is not None and norm.running_mean is not None:
            gain = (1 if norm.weight is None else norm.weight) / torch.sqrt(norm.running_var + norm.eps)
            shift = 0 if norm.bias is None else norm.bias
            weight, bias = weight * gain.view(-1, 1, 1, 1), shift + (bias - norm.running_mean) * gain
        conv.weight = nn.Parameter(weight.detach().clone())
        conv.bias = nn.Parameter(bias.detach().clone())
        return conv

    def retrainable(self) -> LastUnit:
        """Return a copy in which only the convolution and its norm are trainable."""
        return copy.deepcopy(self).requires_grad_(True)


class LastConv(LastUnit):
    """A last convolution with its batch norm, residual input and ReLU, directly before the pooling.

    Args:
        conv: The convolution.
        norm: Its batch normalisation, if any.
        skip_channels: Channels of ``z`` after the input of the convolution, which are added before the activation (the
            residual branch of a ResNet block); 0 for none.
    """

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d | None = None, skip_channels: int = 0) -> None:
        super().__init__(conv)
        self.norm = norm
        self.skip_channels = skip_channels

    def enter(self, z: Tensor) -> tuple[Tensor, Carry]:
        """Split ``z`` (B, F, H, W) into the input of the convolution and the residual input, if there is one."""
        own = self.conv.in_channels
        return (z[:, :own], (z[:, own:],)) if self.skip_channels else (z, ())

    def finish(self, y: Tensor, carry: Carry) -> Tensor:
        """Return ``u`` (B, C, h, w) in [0, :data:`HALF_MAX`]."""
        u = y if self.norm is None else self.norm(y)
        if self.skip_channels:
            u = u + carry[0]
        return u.relu().clamp(max=HALF_MAX)

    def folding_norm(self) -> nn.BatchNorm2d | None:
        """Return the batch normalisation."""
        return self.norm


class Encoder(nn.Module):
    """A face encoder split at its last convolution: ``image -> trunk -> z -> last -> map``.

    It is frozen: no parameter has a gradient, and it stays in evaluation mode, so that the statistics of norms never
    change. :meth:`thawed` returns a trainable copy.

    Args:
        name: The name, which worlds record. Part of the fingerprint.
        preprocessing: Converts an image to the input of the trunk.
        trunk: Maps normalised pixels (B, channels, size, size) to ``z``.
        last: Maps ``z`` to the map.

    Attributes:
        weights: Origin of the weights, for results.
    """

    def __init__(self, name: str, preprocessing: Preprocessing, trunk: nn.Module, last: LastUnit) -> None:
        super().__init__()
        expect("name", name, str)
        expect("preprocessing", preprocessing, Preprocessing)
        expect("trunk", trunk, nn.Module)
        expect("last", last, LastUnit)
        self.name = name
        self.preprocessing = preprocessing
        self.trunk = trunk
        self.last = last
        self.weights = "the module's own"
        self.frozen = True
        self.requires_grad_(False)
        channels_last(self)
        self.eval()

    def train(self, mode: bool = True) -> Encoder:
        """Switch to training mode, unless frozen."""
        return super().train(mode and not self.frozen)

    def thawed(self) -> Encoder:
        """Return a trainable copy; the encoder itself does not change."""
        twin = copy.deepcopy(self)
        twin.frozen = False
        return twin.requires_grad_(True)

    def frozen_copy(self) -> Encoder:
        """Return a frozen copy, also of a trainable encoder."""
        return Encoder(self.name, self.preprocessing, copy.deepcopy(self.trunk), copy.deepcopy(self.last))

    def forward(self, pixels: Tensor) -> Tensor:
        """Map uint8 pixels (B, channels, size, size) to the map without a mask, float32 (B, C, h, w)."""
        return self.last(self.encode(pixels))

    def encode(self, pixels: Tensor) -> Tensor:
        """Map uint8 pixels (B, channels, size, size) to ``z``, float32 in the range of float16.

        The shape of ``z`` is (B, F, h, w), or (B, N, F) for tokens of a transformer.
        """
        z = self.trunk(self.preprocessing.normalise(pixels))
        return z.clamp(-HALF_MAX, HALF_MAX)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.last.conv.weight.device

    @torch.no_grad()
    def stored_z(self, pixels: Tensor) -> Tensor:
        """Return ``z`` of a batch of pixels as the feature cache stores it, float16.

        Args:
            pixels: uint8 (B, channels, size, size), as :meth:`Preprocessing.fit` returns each.

        Raises:
            CiaoError: They have another dtype or shape.
        """
        expect_tensor("pixels", pixels, (None, *self.preprocessing.shape), "uint8")
        with autocast(self.device):
            return self.encode(pixels.to(self.device)).half()

    @torch.no_grad()
    def stored_u(self, z: Tensor) -> Tensor:
        """Return the map of stored ``z`` (B, ...) as the feature cache stores it: float16 (B, C, h, w)."""
        with autocast(self.device):
            return self.last(z.to(self.device).float()).half()

    @torch.no_grad()
    def shapes(self) -> tuple[torch.Size, torch.Size]:
        """Return the shapes of ``z`` and of the map for one image, without the batch dimension."""
        z = self.encode(torch.zeros(1, *self.preprocessing.shape, dtype=torch.uint8, device=self.device))
        return z.shape[1:], self.last(z).shape[1:]

    def parameter_count(self) -> int:
        """Return the number of parameters."""
        return sum(p.numel() for p in self.parameters())

    def fingerprint(self) -> str:
        """Return a sha256 of the name, the preprocessing and every weight and buffer."""
        digest = hashlib.sha256(json.dumps([self.name, asdict(self.preprocessing)]).encode())
        digest.update(state_sha256(self).encode())
        return digest.hexdigest()


def state_sha256(module: nn.Module) -> str:
    """Return a sha256 of all parameters and buffers of a module: names, shapes, types and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype};".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def build(name: str, module: ModuleType, seed: int) -> Encoder:
    """Build the encoder of a module of :mod:`ciao_stream.encoders.architectures` with seeded random weights.

    Args:
        name: Name of the encoder. Part of the seed.
        module: Defines ``PREPROCESSING`` and ``build() -> (trunk, last)``.
        seed: Seeds the weights.
    """
    with seeded_torch(seed, "encoder", name):
        trunk, last = module.build()
        for layer in (*trunk.modules(), *last.modules()):
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
    return Encoder(name, module.PREPROCESSING, trunk, last)
