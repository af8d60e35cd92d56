"""Names of encoders, without loading torch."""

from __future__ import annotations

from ciao_stream.runtime.plugins import plugin_names

ARCHITECTURES = "ciao_stream.encoders.architectures"
"""Package of our own encoders, one file each."""

LIBRARIES = ("timm", "torchvision")
"""Libraries whose networks have names ``LIBRARY:NAME``."""

FETCHED = "weights:"
"""Prefix for third-party weights that the user has fetched."""

RANDOM = "random:"
"""Prefix for one of our own encoders without its trained weights."""


def encoder_names() -> list[str]:
    """Return the names of our own encoders."""
    return plugin_names(ARCHITECTURES)
