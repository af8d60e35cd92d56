"""Encoders with seeded random weights: our own architectures, and any network of two libraries."""

from __future__ import annotations

from ciao_stream.encoders.base import Encoder, build
from ciao_stream.encoders.names import ARCHITECTURES, FETCHED, LIBRARIES, RANDOM, encoder_names
from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.runtime.plugins import load_plugin


def untrained_encoder(name: str, *, seed: int = 0) -> Encoder:
    """Build a frozen encoder with seeded random weights; as :func:`load_encoder`, but for folders."""
    if name.startswith(FETCHED):
        raise CiaoError(
            f"{name!r} has trained weights, and random ones are asked for: give one of {', '.join(encoder_names())}"
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
