"""The state of an optimiser as named tensors, and back, laid out in memory as the parameters are.

The layout matters: torch's fused AdamW reads parameter, gradient and moments side by side in memory whatever their
strides say, so that moments restored with other strides than their parameter's are taken for those of other weights.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    """Return what an optimiser moves, in order."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def read_state(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return the live tensors that an optimiser keeps, by ``INDEX.KEY``; none before its first step."""
    kept = {index: optimizer.state.get(p, {}) for index, p in enumerate(parameters(optimizer))}
    return {f"{i}.{key}": t for i, state in kept.items() for key, t in state.items() if isinstance(t, Tensor)}


def write_state(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser a copy of what :func:`read_state` returned.

    Args:
        optimizer: One over the same parameters, some of which may have rows after those that the tensors have: these
            start with zeros.
        tensors: By ``INDEX.KEY``.
    """
    optimizer.state.clear()
    moved = parameters(optimizer)
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        parameter = moved[int(index)]
        if tensor.ndim == 0:
            optimizer.state[parameter][key] = tensor.to(parameter.device, copy=True)
            continue
        own = torch.zeros_like(parameter, requires_grad=False)
        own[: len(tensor)] = tensor
        optimizer.state[parameter][key] = own
