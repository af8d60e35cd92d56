"""Faces as worlds read them: prepared and encoded once, at every level that is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ciao_stream.encoders.base import Encoder, Level
from ciao_stream.explain.cam import Method, plus_plus, saliency
from ciao_stream.explain.targets import Target
from ciao_stream.worlds.world import World

BATCH = 128
"""Faces per forward pass."""


@dataclass(eq=False)
class Views:
    """A set of faces before one frozen encoder.

    Args:
        encoder: The encoder.
        pixels: uint8 (N, channels, size, size), prepared by its preprocessing.
    """

    encoder: Encoder
    pixels: Tensor
    _levels: dict[Level, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.pixels)

    def at(self, level: Level) -> Tensor:
        """Return the faces at a level, as the feature cache stores them: uint8 pixels, float16 ``z`` or ``u``."""
        if level == "pixels":
            return self.pixels
        if level not in self._levels:
            below = self.at("pixels" if level == "z" else "z")
            step = self.encoder.stored_z if level == "z" else self.encoder.stored_u
            self._levels[level] = in_batches(lambda part: step(below[part]).cpu(), len(self))
        return self._levels[level]

    def batch(self, world: World, part: slice) -> Tensor:
        """Return some of the faces as a world reads them."""
        x = self.at(world.level)[part]
        return (x if x.dtype == torch.uint8 else x.float()).to(world.device)

    def outputs(self, world: World) -> Tensor:
        """Return a world's outputs, float32 (N, n_out), the same as in its benchmark or stream."""
        return in_batches(lambda part: world.predict(self.batch(world, part)).cpu(), len(self))

    def saliency(self, world: World, target: Target, method: Method = plus_plus) -> Tensor:
        """Return where a world looks for a target of each face, float32 (N, h, w)."""

        def look(part: slice) -> Tensor:
            return saliency(world, self.batch(world, part), target.take(part), method)

        return in_batches(look, len(self))

    @torch.no_grad()
    def maps(self, world: World) -> Tensor:
        """Return the maps that a world's head decides on, float32 (N, C, h, w)."""
        world.eval()
        return in_batches(lambda part: world.map(self.batch(world, part)).float().cpu(), len(self))

    def take(self, chosen: list[int]) -> Views:
        """Return some of the faces."""
        return Views(self.encoder, self.pixels[chosen], {level: x[chosen] for level, x in self._levels.items()})


def in_batches(work: Callable[[slice], Tensor], n: int) -> Tensor:
    """Return the results of :data:`BATCH` faces at a time, joined."""
    return torch.cat([work(slice(start, min(start + BATCH, n))) for start in range(0, n, BATCH)])
