"""Facial-expression worlds over one frozen encoder: masks that learn from your labels and forget nothing.

The public names load on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "CiaoError": "exceptions",
    "CiaoMask": "masks",
    "Encoder": "encoder",
    "FaceDataset": "faces",
    "FeatureCache": "features",
    "Head": "heads",
    "HeadSettings": "settings",
    "PRESETS": "settings",
    "Settings": "settings",
    "TaskData": "faces",
    "TaskSpec": "tasks",
    "World": "worlds",
    "WorldLearner": "training",
    "Worlds": "worlds",
    "attach": "attach",
    "choose_mask": "masks",
    "encode": "encoded",
    "encoder_names": "encoders",
    "evaluate": "metrics",
    "load_encoder": "encoders",
    "load_mask": "masks",
    "mask_names": "masks",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
