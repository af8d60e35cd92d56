"""Importing Avalanche without a writable home folder."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def avalanche_home() -> Iterator[None]:
    """Import Avalanche inside this block: at import it writes ``~/.avalanche``, and fails if it cannot.

    If the home folder is not writable, ``HOME`` is a temporary folder during the import. The warnings of the import,
    about solvers that nothing here uses, are silenced.
    """
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as spare:
        warnings.simplefilter("ignore")
        if _can_be_written(Path(os.path.expanduser("~/.avalanche"))):  # noqa: PTH111  (Path.home raises without one)
            yield
            return
        before = os.environ.get("HOME")
        os.environ["HOME"] = spare
        try:
            yield
        finally:
            if before is None:
                del os.environ["HOME"]
            else:
                os.environ["HOME"] = before


def _can_be_written(folder: Path) -> bool:
    try:
        folder.mkdir(exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
