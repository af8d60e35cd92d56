"""The last convolution of a split network: the steps from ``z`` to it, the convolution, and the steps after it."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import skip_init
from torch.overrides import TorchFunctionMode

from ciao_stream.encoders.attach.layout import Layout
from ciao_stream.encoders.base import HALF_MAX, Carry, LastUnit


class AttachedLast(LastUnit):
    """The last convolution of a traced network.

    Args:
        before: Steps from the parts of ``z`` to a tuple: the input of the convolution, then the carry.
        conv: The convolution, or a linear layer over a grid as a 1x1 convolution.
        after: Steps from the output of the convolution and the carry to ``u``: norm, residual sum, activation.
        rest: Steps from ``u`` and the carry to the map.
        split: Dimension and sizes of the parts that are concatenated in ``z``.
        inside: Layout of the input and output of the convolution in the network.
        outside: Layout of the map in the network.
    """

    def __init__(
        self,
        before: nn.Module,
        conv: nn.Conv2d,
        after: nn.Module,
        rest: nn.Module,
        split: tuple[int, list[int]],
        inside: Layout,
        outside: Layout,
    ) -> None:
        super().__init__(conv)
        self.before = before
        self.after = after
        self.rest = rest
        self.split = split
        self.inside = inside
        self.outside = outside

    def enter(self, z: Tensor) -> tuple[Tensor, Carry]:
        """Return the input of the convolution as a grid, (B, in_channels, H, W), and the carry."""
        dim, sizes = self.split
        x, *carry = self.before(*(z.split(sizes, dim) if len(sizes) > 1 else (z,)))
        if self.inside.prefix:
            carry.append(F.linear(x[:, : self.inside.prefix], self.conv.weight.flatten(1), self.conv.bias))
        return self.inside.grid(x), tuple(carry)

    def finish(self, y: Tensor, carry: Carry) -> Tensor:
        """Return ``u``, (B, C, h, w); negative values are possible if the network's activation allows them."""
        (u,) = self.after(y, *self._steps(carry))
        return u.clamp(-HALF_MAX, HALF_MAX)

    def leave(self, u: Tensor, carry: Carry) -> Tensor:
        """Return the map, (B, C, h, w), without prefix tokens."""
        prefix = carry[-1] if self.inside.prefix else None
        (grid,) = self.rest(self.inside.ungrid(u, prefix), *self._steps(carry))
        return self.outside.grid(grid).clamp(-HALF_MAX, HALF_MAX)

    def bare(self) -> nn.Conv2d:
        """Return a copy of the convolution; one that standardises its weight becomes an ordinary one."""
        weight = _working_weight(self.conv)
        if torch.equal(weight, self.conv.weight):
            return copy.deepcopy(self.conv)
        plain = skip_init(nn.Conv2d, 1, 1, 1)
        for name in ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups"):
            setattr(plain, name, getattr(self.conv, name))
        plain.weight, plain.bias = nn.Parameter(weight), copy.deepcopy(self.conv.bias)
        return plain

    def folding_norm(self) -> nn.BatchNorm2d | None:
        """Return the batch normalisation that directly follows the convolution, if one does."""
        return next((layer for layer in self.after.modules() if isinstance(layer, nn.BatchNorm2d)), None)

    def retrainable(self) -> LastUnit:
        """Return a copy with a trainable convolution and norm; all other layers are shared with this unit."""
        return RetrainedLast(self)

    def _steps(self, carry: Carry) -> Carry:
        return carry[:-1] if self.inside.prefix else carry


class RetrainedLast(LastUnit):
    """A trainable convolution and norm between the frozen layers of another unit.

    Args:
        shared: The other unit. It is referenced, not a submodule, and never changed.
    """

    def __init__(self, shared: AttachedLast) -> None:
        super().__init__(copy.deepcopy(shared.conv))
        self.after = copy.deepcopy(shared.after)
        self.requires_grad_(True)
        self._shared = (shared,)  # in a tuple, so that it is no submodule

    def enter(self, z: Tensor) -> tuple[Tensor, Carry]:
        """Return what the shared unit returns."""
        return self._shared[0].enter(z)

    def finish(self, y: Tensor, carry: Carry) -> Tensor:
        """Return ``u``, (B, C, h, w)."""
        (u,) = self.after(y, *self._shared[0]._steps(carry))
        return u.clamp(-HALF_MAX, HALF_MAX)

    def leave(self, u: Tensor, carry: Carry) -> Tensor:
        """Return the map, (B, C, h, w)."""
        return self._shared[0].leave(u, carry)


class _Watch(TorchFunctionMode):
    """Records the weight of every convolution that is computed."""

    weight: Tensor

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.conv2d, F.conv2d):
            self.weight = args[1]
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def _working_weight(conv: nn.Conv2d) -> Tensor:
    """Return the weight that a convolution applies; it differs from the stored one if the layer standardises it."""
    reach = [(size - 1) * dilation + 1 for size, dilation in zip(conv.kernel_size, conv.dilation, strict=True)]
    with _Watch() as watch:
        conv(conv.weight.new_zeros(1, conv.in_channels, *reach))
    return watch.weight.detach().clone()
