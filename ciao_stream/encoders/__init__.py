"""Frozen face encoders, each split at its last convolution. One file, one encoder; others by their library's name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ciao_stream.encoders.names import FETCHED, LIBRARIES, RANDOM, encoder_names

if TYPE_CHECKING:
    from ciao_stream.encoders.base import Encoder

__all__ = ["LIBRARIES", "SHIPPED", "encoder_names", "load_encoder"]

SHIPPED = Path(__file__).with_name("shipped")
"""Folder of trained weights that come with the package, one folder per encoder."""


def load_encoder(name: str, *, seed: int = 0) -> Encoder:
    """Build a frozen encoder: with trained weights where there are any, else with random ones.

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
    for folder in (Path(name), SHIPPED / name):
        if (folder / "encoder.json").is_file():
            from ciao_stream.encoders.saved import load_saved

            return load_saved(folder)
    if name.startswith(FETCHED):
        from ciao_stream.encoders.weights.encoder import fetched_encoder

        return fetched_encoder(name.removeprefix(FETCHED))
    from ciao_stream.encoders.untrained import untrained_encoder

    return untrained_encoder(name.removeprefix(RANDOM), seed=seed)
