"""Facial-expression worlds over one frozen encoder: masks that learn from your labels and forget nothing.

The public names load on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "CiaoError": "exceptions",
    "CiaoMask": "worlds.masks.ciao",
    "Encoder": "encoders.base",
    "FaceDataset": "faces.dataset",
    "FeatureCache": "encoders.cache",
    "Head": "worlds.heads",
    "HeadSettings": "worlds.settings",
    "PRESETS": "worlds.settings",
    "Settings": "worlds.settings",
    "TaskData": "faces.dataset",
    "TaskSpec": "faces.task",
    "World": "worlds.world",
    "WorldLearner": "worlds.training",
    "Worlds": "worlds.worlds",
    "attach": "encoders.attach",
    "choose_mask": "worlds.masks",
    "encode": "encoders.encoded",
    "encoder_names": "encoders",
    "evaluate": "metrics.scores",
    "load_encoder": "encoders",
    "load_mask": "worlds.masks",
    "mask_names": "worlds.masks",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
