"""Frozen face encoders, each split at its last convolution. One file, one encoder; others by their library's name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.plugins import load_plugin, plugin_names

if TYPE_CHECKING:
    from ciao_stream.encoder import Encoder

LIBRARIES = ("timm", "torchvision")
"""Libraries whose networks :func:`load_encoder` takes as ``LIBRARY:NAME``."""

FETCHED = "weights:"
"""What stands before the name of weights of others that the user has fetched."""

RANDOM = "random:"
"""What stands before the name of an encoder whose trained weights are not wanted."""

DEEPER = re.compile(r"last(\d+):(.+)")
"""The name of an encoder whose worlds mask more convolutions than the last, and how many."""

SHIPPED = Path(__file__).with_name("_weights")
"""Folder of trained weights that come with the package, one folder per encoder."""


def encoder_names() -> list[str]:
    """Return the names of our own encoders, which :func:`load_encoder` takes. Imports no torch."""
    return plugin_names(__name__)


def load_encoder(name: str, *, seed: int = 0) -> Encoder:
    """Build a frozen encoder: with trained weights where there are any, else with random ones.

    ``lastN:`` before any name, as in ``last2:ciao-face``, lets worlds mask its last N convolutions instead of one.

    Args:
        name: One of :func:`encoder_names`; a folder in which ``pretrain`` left an encoder; ``torchvision:NAME`` or
            ``timm:NAME`` for any network of these libraries that can be split (timm is installed apart);
            ``weights:NAME`` for weights of others, fetched before with ``python -m ciao_stream.data weights NAME``; or
            ``random:NAME`` for one of ours without its trained weights. Nothing is downloaded.
        seed: Seeds random weights. The same name and seed give the same fingerprint.

    Raises:
        UnknownNameError: There is no such encoder, library or weights.
        CiaoError: The library is missing, has no such network, or the network cannot be split; or the weights are
            not here, or not those of their network.
    """
    if deeper := DEEPER.fullmatch(name):
        from ciao_stream.attach import deepen

        return deepen(load_encoder(deeper[2], seed=seed), int(deeper[1]))
    for folder in (Path(name), SHIPPED / name):
        if (folder / "encoder.json").is_file():
            from ciao_stream.saved_encoder import load_saved

            return load_saved(folder)
    if name.startswith(FETCHED):
        from ciao_stream.weights.encoder import fetched_encoder

        return fetched_encoder(name.removeprefix(FETCHED))
    return untrained_encoder(name.removeprefix(RANDOM), seed=seed)


def untrained_encoder(name: str, *, seed: int = 0) -> Encoder:
    """Build a frozen encoder with seeded random weights; as :func:`load_encoder`, but for folders."""
    if name.startswith(FETCHED):
        raise CiaoError(
            f"{name!r} has trained weights, and random ones are asked for: give one of {', '.join(encoder_names())}"
        )
    library, colon, network = name.partition(":")
    if colon and library not in LIBRARIES:
        raise UnknownNameError("library of encoders", library, (*LIBRARIES, "weights"))
    if colon:
        from ciao_stream.attach import libraries

        encoder = (libraries.from_timm if library == "timm" else libraries.from_torchvision)(network, seed)
    else:
        from ciao_stream.encoder import build

        encoder = build(name, load_plugin(__name__, name, "encoder"), seed)
    encoder.weights = f"random, seed {seed}"
    return encoder
