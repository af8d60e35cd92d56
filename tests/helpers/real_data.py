"""The shared real faces, no part of the project: tests that need them skip, saying so, where they are absent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def shared_data() -> Path:
    """Return the folder of shared data; skips the test where there is none.

    ``CIAO_SHARED_DATA`` overrides the folder, ``../shared/data`` next to the repository.
    """
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("CIAO_SHARED_DATA", default))
    if not (folder / "make_fer2013_csv").is_file():
        pytest.skip(f"no real faces in {folder} (set CIAO_SHARED_DATA to the folder that holds make_fer2013_csv)")
    return folder


@pytest.fixture(scope="session")
def real_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay out the first 200 rows of each Usage; return the data root."""
    root = tmp_path_factory.mktemp("real_faces")
    command = [sys.executable, str(shared_data() / "make_fer2013_csv"), str(root), "--limit", "200"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return root
