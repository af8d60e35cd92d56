"""The changes to the preset that are tried, one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ciao_stream.worlds.settings import Settings


@dataclass(frozen=True)
class Variant:
    """One change.

    Args:
        part: What it is about.
        name: What it is called in tables.
        changes: As :meth:`ciao_stream.worlds.settings.Settings.changed` takes them.
    """

    part: str
    name: str
    changes: Mapping[str, Any]

    @property
    def folder(self) -> str:
        """Name of the folder of its results."""
        return f"{self.part}-{self.name}".replace(" ", "_").replace("/", "-")


VARIANTS: tuple[Variant, ...] = (
    Variant("mask", "full (ciao)", {"mask": "ciao"}),
    Variant("mask", "1x1 (pointwise)", {"mask": "pointwise"}),
    Variant("mask", "low-rank", {"mask": "low-rank"}),
    Variant("mask", "depthwise", {"mask": "depthwise"}),
    Variant("contrast", "none", {"contrast_weight": 0.0}),
    Variant("contrast", "weight 0.1", {"contrast_weight": 0.1}),
    Variant("contrast", "weight 1", {"contrast_weight": 1.0}),
    Variant("contrast", "on the pooled map", {"contrast_on": "map"}),
    Variant("contrast", "on the output", {"contrast_on": "output"}),
    Variant("contrast", "as Eq. 3", {"contrast": "eq3"}),
    Variant("contrast", "as the authors' code", {"contrast": "npairs"}),
    Variant("contrast", "SupCon", {"contrast": "supcon"}),
    Variant("contrast", "temperature 0.07", {"temperature": 0.07}),
    Variant("contrast", "temperature 0.3", {"temperature": 0.3}),
    Variant("steps", "alternating", {"alternate": True}),
    Variant("head", "mean pool", {"head.pool": "mean"}),
    Variant("head", "2x2 max pool", {"head.pool": "max2"}),
    Variant("head", "no normalisation", {"head.norm": "none"}),
    Variant("head", "one linear layer", {"head.hidden": []}),
    Variant("head", "128 hidden", {"head.hidden": [128]}),
    Variant("head", "512 hidden", {"head.hidden": [512]}),
    Variant("head", "dropout 0", {"head.dropout": 0.0}),
    Variant("head", "dropout 0.7", {"head.dropout": 0.7}),
    Variant("training", "constant rate", {"schedule": "constant"}),
    Variant("training", "rate 0.0003", {"lr": 3e-4}),
    Variant("training", "rate 0.003", {"lr": 3e-3}),
    Variant("training", "SGD, momentum 0.9, rate 0.01", {"optimizer": "sgd", "momentum": 0.9, "lr": 0.01}),
    Variant("training", "weight decay 0.05", {"weight_decay": 0.05}),
    Variant("training", "batch of 256", {"batch_size": 256}),
    Variant("training", "3 epochs", {"epochs": 3}),
    Variant("training", "12 epochs", {"epochs": 12}),
)
"""Every change that is tried; those that the settings already have are skipped."""


def variants(settings: Settings) -> list[Variant]:
    """Return the changes that change these settings."""
    return [variant for variant in VARIANTS if settings.changed(variant.changes) != settings]
