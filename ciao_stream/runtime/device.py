"""Where and how to compute: the device, bfloat16 where it is fast, channels last, memory that is kept."""

from __future__ import annotations

import ctypes
import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ciao_stream.exceptions import CiaoError

if TYPE_CHECKING:
    import torch
    from torch import nn

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of glibc's ``mallopt``."""


def torch_device(name: str) -> str:
    """Check that torch has this device and return its name; ``auto`` is CUDA if there is a GPU, else the CPU.

    Raises:
        CiaoError: This device is not available.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise CiaoError(f"unknown device {name!r}: expected auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise CiaoError("device 'cuda': torch finds no GPU on this machine; use --device cpu")
    return name


@functools.cache
def fast_dtype(device_type: str = "cpu") -> torch.dtype:
    """Return bfloat16 if a device of this type (``cpu``, ``cuda``) has instructions for it, else float32."""
    import torch

    if device_type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text() if device_type == "cpu" and cpuinfo.exists() else ""
    return torch.bfloat16 if "avx512_bf16" in flags or "amx_bf16" in flags else torch.float32


def autocast(device: torch.device) -> torch.autocast:
    """Return a context in which convolutions and linear layers run in :func:`fast_dtype`."""
    import torch

    fast = fast_dtype(device.type) is torch.bfloat16
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=fast)


def channels_last(module: nn.Module) -> None:
    """Lay the weights of convolutions out with channels last, in place, and leave all else as it is.

    ``module.to(memory_format=...)`` refuses networks that hold a tensor of five dimensions.
    """
    import torch

    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def keep_memory() -> None:
    """Tell glibc to serve large blocks from its heap and not to trim that. Without glibc, do nothing."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
