"""Weights that others trained: a user fetches them on purpose, the library only ever reads what is there.

:mod:`~ciao_stream.encoders.weights.manifest` says what there is, :mod:`~ciao_stream.encoders.weights.fetch` brings a
file here, and :mod:`~ciao_stream.encoders.weights.store` keeps it, checks it and loads it. Only the command ``python -m
ciao_stream.data weights`` imports ``fetch``: nothing else touches the network.
"""

from __future__ import annotations

from ciao_stream.encoders.weights.manifest import Entry, entry, names
from ciao_stream.encoders.weights.store import load_state, weights_path

__all__ = ["Entry", "entry", "load_state", "names", "weights_path"]
