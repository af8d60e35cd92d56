"""Encoders with seeded random weights: our own architectures, and networks of torchvision and timm."""

from __future__ import annotations

from ciao_stream.encoders.base import Encoder, build
from ciao_stream.encoders.names import ARCHITECTURES, FETCHED, LIBRARIES, RANDOM, encoder_names
from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.runtime.plugins import load_plugin


def untrained_encoder(name: str, *, seed: int = 0) -> Encoder:
    """Return a frozen encoder with seeded random weights.

    Args:
        name: One of our own encoders, ``torchvision:NAME`` or ``timm:NAME``.
        seed: Seeds the weights.

    Raises:
        UnknownNameError: There is no such encoder or prefix.
        CiaoError: The library is missing or has no such network, or the network cannot be split.
    """
    if name.startswith(FETCHED):
        raise CiaoError(
            f"{name!r} has trained weights, but random ones are needed: choose one of {', '.join(encoder_names())}"
        )
    library, colon, network = name.partition(":")
    if colon and library not in LIBRARIES:
        raise UnknownNameError("encoder prefix", library, (*LIBRARIES, FETCHED[:-1], RANDOM[:-1]))
    if colon:
        from ciao_stream.encoders.attach import libraries

        encoder = (libraries.from_timm if library == "timm" else libraries.from_torchvision)(network, seed)
    else:
        encoder = build(name, load_plugin(ARCHITECTURES, name, "encoder"), seed)
    encoder.weights = f"random, seed {seed}"
    return encoder
