"""What an encoder is: a trunk, a last convolution, and the way an image is prepared for them.

The image goes through the trunk once, to ``z``, from which the last convolution's input is had. Everything that a
world adapts lies behind ``z``: that is why ``z`` is what the feature cache keeps.
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

from ciao_stream.faces.dataset import Image
from ciao_stream.runtime.precision import autocast, channels_last
from ciao_stream.runtime.seeds import seeded_torch

HALF_MAX = 65280.0
"""``z`` and ``u`` are kept inside this: the largest number that float16, in which they are stored, and bfloat16, in
which they are computed, both hold exactly. (65504, the end of float16, would round up to infinity on its way.)"""


Level = Literal["pixels", "z", "u"]
"""How far a face has come: prepared pixels, what the last convolution works from, or the map without a mask."""


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the encoder's input.

    Args:
        size: Height and width in pixels.
        channels: ``gray`` (1 channel), ``rgb`` or ``bgr`` (3).
        mean: Subtracted from values in [0, 1], per channel in the order of ``channels``.
        std: Divides what is left, per channel.
    """

    size: int
    channels: Literal["gray", "rgb", "bgr"]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def fit(self, image: Image) -> npt.NDArray[np.uint8]:
        """Resize and convert one face.

        Args:
            image: uint8, (height, width) gray or (height, width, 3) RGB.

        Returns:
            uint8 array of shape (channels, size, size).
        """
        import cv2

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
        """Scale uint8 pixels (batch, channels, size, size) to float32 around zero."""
        mean = torch.tensor(self.mean, device=pixels.device).view(1, -1, 1, 1)
        std = torch.tensor(self.std, device=pixels.device).view(1, -1, 1, 1)
        return (pixels.float() / 255 - mean) / std


Carry = tuple[Tensor, ...]
"""What of ``z`` is needed after the last convolution, beside its own input; each of shape (B, ...)."""


class LastUnit(nn.Module, ABC):
    """The last convolution of an encoder and what surrounds it: ``z -> u -> map``, in three steps.

    :meth:`enter` computes from ``z`` the convolution's own input, :meth:`activate` applies the convolution with its
    norm and activation (which alone are :meth:`finish`), and :meth:`leave` does what the network still does before its
    global pooling. A mask reads the convolution's own input and stands between the last two.

    Args:
        conv: The convolution.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    @abstractmethod
    def enter(self, z: Tensor) -> tuple[Tensor, Carry]:
        """Return the convolution's own input, (B, in_channels, H, W), and what is needed of ``z`` later."""

    @abstractmethod
    def finish(self, y: Tensor, carry: Carry) -> Tensor:
        """Map the bare output of the convolution, (B, C, h, w), to ``u``, of the same shape."""

    def activate(self, x: Tensor, carry: Carry) -> Tensor:
        """Map what :meth:`enter` returned to ``u``, (B, C, h, w)."""
        return self.finish(self.conv(x), carry)

    def leave(self, u: Tensor, carry: Carry) -> Tensor:  # noqa: ARG002
        """Map ``u``, raw or masked, to the map before global pooling: ``u`` itself, unless the network goes on."""
        return u

    def forward(self, z: Tensor) -> Tensor:
        """Map ``z`` to the map, (B, C, h, w), without a mask."""
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

        Only batch normalisation is folded: it alone is linear once frozen. Where another norm follows, or none, the
        copy is that of the bare convolution.
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
        """Return a copy in which the convolution and its norm can be trained, and nothing else."""
        return copy.deepcopy(self).requires_grad_(True)


class LastConv(LastUnit):
    """A last convolution with its normalisation, residual input and activation, after which pooling comes.

    Args:
        conv: The convolution.
        norm: Its batch normalisation, if any.
        skip_channels: Channels that ``z`` carries after the convolution's own input and that are added before the
            activation (the residual branch of a ResNet block); 0 for none.
    """

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d | None = None, skip_channels: int = 0) -> None:
        super().__init__(conv)
        self.norm = norm
        self.skip_channels = skip_channels

    def enter(self, z: Tensor) -> tuple[Tensor, Carry]:
        """Split ``z`` (B, F, H, W) into the convolution's own input and the residual input, if there is one."""
        own = self.conv.in_channels
        return (z[:, :own], (z[:, own:],)) if self.skip_channels else (z, ())

    def finish(self, y: Tensor, carry: Carry) -> Tensor:
        """Return ``u`` (B, C, h, w), all values >= 0."""
        u = y if self.norm is None else self.norm(y)
        if self.skip_channels:
            u = u + carry[0]
        return u.relu().clamp(max=HALF_MAX)

    def folding_norm(self) -> nn.BatchNorm2d | None:
        """Return the batch normalisation."""
        return self.norm


class Encoder(nn.Module):
    """A face encoder split at its last convolution: ``image -> trunk -> z -> last -> map``.

    It is frozen: no gradient, always in evaluation mode, so that normalisation statistics never move.
    :meth:`thawed` gives a trainable copy. :attr:`weights` says where the weights came from, for results.
    """

    def __init__(self, name: str, preprocessing: Preprocessing, trunk: nn.Module, last: LastUnit) -> None:
        super().__init__()
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
        """Return a trainable copy; the encoder itself stays as it is."""
        twin = copy.deepcopy(self)
        twin.frozen = False
        return twin.requires_grad_(True)

    def frozen_copy(self) -> Encoder:
        """Return a frozen copy, of a trainable encoder too."""
        return Encoder(self.name, self.preprocessing, copy.deepcopy(self.trunk), copy.deepcopy(self.last))

    def forward(self, pixels: Tensor) -> Tensor:
        """Map uint8 pixels (B, channels, size, size) to the map without a mask, float32 (B, C, h, w)."""
        return self.last(self.encode(pixels))

    def encode(self, pixels: Tensor) -> Tensor:
        """Map uint8 pixels (B, channels, size, size) to ``z``, inside the range of float16.

        ``z`` is (B, F, h, w), or (B, N, F) where a transformer's tokens come in.
        """
        z = self.trunk(self.preprocessing.normalise(pixels))
        return z.clamp(-HALF_MAX, HALF_MAX)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.last.conv.weight.device

    @torch.no_grad()
    def stored_z(self, pixels: Tensor) -> Tensor:
        """Return ``z`` of a batch of pixels as the feature cache stores it, float16."""
        with autocast(self.device):
            return self.encode(pixels.to(self.device)).half()

    @torch.no_grad()
    def stored_u(self, z: Tensor) -> Tensor:
        """Return the map of a batch of stored ``z`` as the feature cache stores it, float16."""
        with autocast(self.device):
            return self.last(z.to(self.device).float()).half()

    @torch.no_grad()
    def shapes(self) -> tuple[torch.Size, torch.Size]:
        """Return the shapes of ``z`` and of the map for one image, without the batch dimension."""
        first = 1 if self.preprocessing.channels == "gray" else 3
        size = self.preprocessing.size
        z = self.encode(torch.zeros(1, first, size, size, dtype=torch.uint8, device=self.device))
        return z.shape[1:], self.last(z).shape[1:]

    def parameter_count(self) -> int:
        """Return the number of parameters."""
        return sum(p.numel() for p in self.parameters())

    def fingerprint(self) -> str:
        """Return a sha256 over name, preprocessing and every weight and buffer; it changes with any of them."""
        digest = hashlib.sha256(json.dumps([self.name, asdict(self.preprocessing)]).encode())
        digest.update(state_sha256(self).encode())
        return digest.hexdigest()


def state_sha256(module: nn.Module) -> str:
    """Return a sha256 over all parameters and buffers of a module: names, shapes, types and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype};".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def build(name: str, module: ModuleType, seed: int) -> Encoder:
    """Build the encoder that a plugin module describes, with seeded random weights.

    The module offers ``PREPROCESSING`` and ``build() -> (trunk, last)``.
    """
    with seeded_torch(seed, "encoder", name):
        trunk, last = module.build()
        for layer in (*trunk.modules(), *last.modules()):
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
    return Encoder(name, module.PREPROCESSING, trunk, last)
