"""Loading Avalanche where there is no home folder to write to."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def avalanche_home() -> Iterator[None]:
    """Import Avalanche inside this block: it writes ``~/.avalanche`` at import, and fails where it cannot.

    Where the home folder cannot be written, a temporary one stands in for it during the import. The warnings that
    the import gives, all about solvers that nothing here uses, are silenced.
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
