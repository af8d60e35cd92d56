"""Names of encoders, listed without loading torch."""

from __future__ import annotations

from ciao_stream.runtime.plugins import plugin_names

ARCHITECTURES = "ciao_stream.encoders.architectures"
"""Package of our own encoders: one file, one encoder."""

LIBRARIES = ("timm", "torchvision")
"""Libraries whose networks are named ``LIBRARY:NAME``."""

FETCHED = "weights:"
"""Prefix of the name of weights that the user has fetched."""

RANDOM = "random:"
"""Prefix of the name of one of our encoders, to leave its trained weights out."""


def encoder_names() -> list[str]:
    """Return the names of our own encoders."""
    return plugin_names(ARCHITECTURES)
