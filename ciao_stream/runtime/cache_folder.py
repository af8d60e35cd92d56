"""Where this user's caches lie."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path | None:
    """Return ``$CIAO_CACHE``, else ``ciao_stream`` in the user's cache folder; None where there is no home."""
    if chosen := os.environ.get("CIAO_CACHE"):
        return Path(chosen)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "ciao_stream"
    home = os.environ.get("HOME")
    return Path(home) / ".cache" / "ciao_stream" if home else None
