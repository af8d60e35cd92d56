"""Facial-expression worlds over one frozen encoder: masks that learn from your labels and forget nothing.

The public names load when they are first used, so importing the package loads no torch.
"""

from __future__ import annotations

import importlib
import logging
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ciao_stream.checks.dataset import check_dataset as check_dataset
    from ciao_stream.checks.encoder import check_encoder as check_encoder
    from ciao_stream.checks.mask import check_mask as check_mask
    from ciao_stream.checks.strategy import check_strategy as check_strategy
    from ciao_stream.encoders import encoder_names as encoder_names
    from ciao_stream.encoders import load_encoder as load_encoder
    from ciao_stream.encoders.attach import attach as attach
    from ciao_stream.encoders.base import Encoder as Encoder
    from ciao_stream.encoders.base import Preprocessing as Preprocessing
    from ciao_stream.encoders.cache import FeatureCache as FeatureCache
    from ciao_stream.encoders.encoded import encode as encode
    from ciao_stream.exceptions import CiaoError as CiaoError
    from ciao_stream.faces.dataset import FaceDataset as FaceDataset
    from ciao_stream.faces.dataset import TaskData as TaskData
    from ciao_stream.faces.detection import load_detector as load_detector
    from ciao_stream.faces.task import TaskSpec as TaskSpec
    from ciao_stream.metrics.scores import evaluate as evaluate
    from ciao_stream.stream.learner.learner import OnlineLearner as OnlineLearner
    from ciao_stream.worlds.heads import Head as Head
    from ciao_stream.worlds.masks import choose_mask as choose_mask
    from ciao_stream.worlds.masks import load_mask as load_mask
    from ciao_stream.worlds.masks import mask_names as mask_names
    from ciao_stream.worlds.masks.ciao import CiaoMask as CiaoMask
    from ciao_stream.worlds.settings import PRESETS as PRESETS
    from ciao_stream.worlds.settings import HeadSettings as HeadSettings
    from ciao_stream.worlds.settings import Settings as Settings
    from ciao_stream.worlds.training import WorldLearner as WorldLearner
    from ciao_stream.worlds.world import World as World
    from ciao_stream.worlds.worlds import Worlds as Worlds

if sys.argv[:1] == ["-m"]:  # Python is still looking for the module that `python -m` names
    from ciao_stream.runtime.shadowed import exit_if_shadowed

    exit_if_shadowed()

_HOMES = {
    "CiaoError": "exceptions",
    "CiaoMask": "worlds.masks.ciao",
    "Encoder": "encoders.base",
    "FaceDataset": "faces.dataset",
    "FeatureCache": "encoders.cache",
    "Head": "worlds.heads",
    "HeadSettings": "worlds.settings",
    "OnlineLearner": "stream.learner.learner",
    "PRESETS": "worlds.settings",
    "Preprocessing": "encoders.base",
    "Settings": "worlds.settings",
    "TaskData": "faces.dataset",
    "TaskSpec": "faces.task",
    "World": "worlds.world",
    "WorldLearner": "worlds.training",
    "Worlds": "worlds.worlds",
    "attach": "encoders.attach",
    "check_dataset": "checks.dataset",
    "check_encoder": "checks.encoder",
    "check_mask": "checks.mask",
    "check_strategy": "checks.strategy",
    "choose_mask": "worlds.masks",
    "encode": "encoders.encoded",
    "encoder_names": "encoders",
    "evaluate": "metrics.scores",
    "load_detector": "faces.detection",
    "load_encoder": "encoders",
    "load_mask": "worlds.masks",
    "mask_names": "worlds.masks",
}

__all__ = sorted([*_HOMES, "__version__"])

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("ciao-stream")
    except PackageNotFoundError:
        return "0.0.0+unknown"
