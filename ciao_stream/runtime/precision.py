"""How convolutions are computed: in bfloat16 where the device does so natively, with channels last."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from torch import nn


@functools.cache
def fast_dtype(device_type: str = "cpu") -> torch.dtype:
    """Return bfloat16 if a device of this type (``cpu``, ``cuda``) has instructions for it, else float32."""
    if device_type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text() if device_type == "cpu" and cpuinfo.exists() else ""
    return torch.bfloat16 if "avx512_bf16" in flags or "amx_bf16" in flags else torch.float32


def autocast(device: torch.device) -> torch.autocast:
    """Return a context in which convolutions and linear layers run in :func:`fast_dtype`."""
    fast = fast_dtype(device.type) is torch.bfloat16
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=fast)


def channels_last(module: nn.Module) -> None:
    """Lay the weights of convolutions out with channels last, in place, and leave all else as it is.

    ``module.to(memory_format=...)`` refuses networks that hold a tensor of five dimensions.
    """
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
