"""No weights of the user's, and a manifest of one entry."""

import pytest

from ciao_stream.encoders.weights import manifest
from tests.helpers.weights_files import entry


@pytest.fixture(autouse=True)
def _plain_surroundings(monkeypatch):
    for name in ("CIAO_OFFLINE", "CIAO_WEIGHTS", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def only_tiny(monkeypatch, tmp_path):
    """A function that replaces the manifest with one entry, whose file is kept in this test's folder."""
    monkeypatch.setenv("CIAO_WEIGHTS", str(tmp_path))

    def put(**changes):
        one = entry(**changes)
        monkeypatch.setattr(manifest, "ENTRIES", (one,))
        return one

    return put
