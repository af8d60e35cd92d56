"""Third-party weights. Only the command ``python -m ciao_stream.data weights NAME`` downloads them.

:mod:`~ciao_stream.encoders.weights.manifest` lists them, :mod:`~ciao_stream.encoders.weights.fetch` downloads a file,
:mod:`~ciao_stream.encoders.weights.store` checks and loads it, and :mod:`~ciao_stream.encoders.weights.encoder` makes
an encoder of it.
"""

from __future__ import annotations

from ciao_stream.encoders.weights.manifest import Entry, entry, names
from ciao_stream.encoders.weights.store import load_state, weights_path

__all__ = ["Entry", "entry", "load_state", "names", "weights_path"]
