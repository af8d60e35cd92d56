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

    Where the home folder cannot be written, a temporary one stands in for it during the import. The one warning
    that the import gives, about a solver that nothing here uses, is silenced.
    """
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as spare:
        warnings.filterwarnings("ignore", message="no QP solver found")
        home = Path(os.path.expanduser("~"))  # noqa: PTH111  (Path.home raises where there is none)
        if home.is_dir() and os.access(home, os.W_OK):
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
