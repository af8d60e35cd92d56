"""Frozen face encoders, each split at its last convolution. One file, one encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciao_stream.plugins import load_plugin, plugin_names

if TYPE_CHECKING:
    from ciao_stream.encoder import Encoder


def encoder_names() -> list[str]:
    """Return the names that :func:`load_encoder` takes. Imports no torch."""
    return plugin_names(__name__)


def load_encoder(name: str, *, seed: int = 0) -> Encoder:
    """Build a frozen encoder.

    Args:
        name: One of :func:`encoder_names`.
        seed: Seeds the random weights. The same name and seed give the same fingerprint.

    Raises:
        UnknownNameError: There is no such encoder.
    """
    from ciao_stream.encoder import build

    return build(name, load_plugin(__name__, name, "encoder"), seed)
