"""Folders of a command: data sets, results, caches."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ciao_stream.exceptions import CiaoError


def user_cache() -> Path | None:
    """Return ``$CIAO_CACHE``, else ``ciao_stream`` in the user's cache folder; None where there is no home."""
    if chosen := os.environ.get("CIAO_CACHE"):
        return Path(chosen)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "ciao_stream"
    home = os.environ.get("HOME")
    return Path(home) / ".cache" / "ciao_stream" if home else None


def default_cache(out: Path) -> Path:
    """Return the folder of encoded features: :func:`user_cache`, else in ``out``."""
    return user_cache() or out / "cache"


def default_out(command: str) -> Path:
    """Return a fresh results folder, ``runs/COMMAND-TIME``."""
    return Path("runs") / f"{command}-{time.strftime('%Y%m%d-%H%M%S')}"


def data_root(given: str | None) -> Path | None:
    """Return the folder of the data sets: ``given``, else ``$CIAO_DATA_ROOT``; None for synthetic worlds.

    Raises:
        CiaoError: The name is empty, such as from an unset shell variable.
    """
    if given is not None and not given.strip():
        raise CiaoError("--data-root is empty: give the folder that holds the data sets, or omit the option")
    root = given or os.environ.get("CIAO_DATA_ROOT")
    return Path(root) if root else None
