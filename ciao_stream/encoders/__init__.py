"""Frozen face encoders, each split at its last convolution: our own, one file each, and those of libraries."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ciao_stream.encoders.names import FETCHED, LIBRARIES, RANDOM, check_network, encoder_names
from ciao_stream.exceptions import UnknownNameError
from ciao_stream.runtime.expect import expect

if TYPE_CHECKING:
    from ciao_stream.encoders.base import Encoder

__all__ = ["LIBRARIES", "SHIPPED", "check_encoder_name", "encoder_names", "load_encoder"]

SHIPPED = Path(__file__).with_name("shipped")
"""Folder of the trained weights in this package, one folder per encoder."""


def check_encoder_name(name: str) -> None:
    """Refuse a name that :func:`load_encoder` does not know, without loading torch.

    Raises:
        UnknownNameError: There is no such encoder, prefix or weights.
        CiaoError: A library is missing or has no such network, or weights are missing or cannot be used.
    """
    if any((folder / "encoder.json").is_file() for folder in (Path(name), SHIPPED / name)):
        return
    own = name.removeprefix(RANDOM)
    prefix, colon, network = own.partition(":")
    if colon and prefix not in (*LIBRARIES, FETCHED[:-1]):
        raise UnknownNameError("encoder prefix", prefix, (*LIBRARIES, FETCHED[:-1], RANDOM[:-1]))
    if prefix in LIBRARIES:
        check_network(prefix, network.partition(".")[0] if prefix == "timm" else network)
    if name.startswith(FETCHED):
        from ciao_stream.encoders.weights.encoder import check_fetched

        check_fetched(network)
    if not colon and own not in encoder_names():
        raise UnknownNameError("encoder", own, encoder_names())


def load_encoder(name: str | Path, *, seed: int = 0) -> Encoder:
    """Return a frozen encoder, with trained weights if there are any, else with random ones. Nothing is downloaded.

    Args:
        name: One of :func:`encoder_names`; the folder of a ``pretrain`` run; ``torchvision:NAME`` or ``timm:NAME`` for
            any network of these libraries that can be split (timm is an extra); ``weights:NAME`` for third-party
            weights, fetched before with ``python -m ciao_stream.data weights NAME``; or ``random:NAME`` for one of our
            own without its trained weights.
        seed: Seeds random weights. The same name and seed give the same fingerprint.

    Raises:
        UnknownNameError: There is no such encoder, prefix or weights.
        CiaoError: The library is missing or has no such network, the network cannot be split, the weights are missing,
            or they do not fit the network.
    """
    expect("encoder", name, str, Path)
    expect("seed", seed, int)
    name = str(name)
    for folder in (Path(name), SHIPPED / name):
        if (folder / "encoder.json").is_file():
            from ciao_stream.encoders.saved import load_saved

            return load_saved(folder)
    if name.startswith(FETCHED):
        from ciao_stream.encoders.weights.encoder import fetched_encoder

        return fetched_encoder(name.removeprefix(FETCHED))
    from ciao_stream.encoders.untrained import untrained_encoder

    return untrained_encoder(name.removeprefix(RANDOM), seed=seed)
