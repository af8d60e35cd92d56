"""A headless Chromium for tests: the system's, or the one that playwright installs; tests skip where there is none."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MISSING = "no Chromium: run `sh scripts/browser.sh` (Debian: apt-get install chromium-headless-shell)"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A running browser; ``CIAO_CHROMIUM`` names another executable than the first that is found."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[dev]'")
    with api.sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        found = os.environ.get("CIAO_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
        if found is None and not own.exists():
            pytest.skip(MISSING)
        sandbox = hasattr(os, "geteuid") and os.geteuid() != 0  # Chromium refuses to run as root with its sandbox
        running = playwright.chromium.launch(executable_path=found, chromium_sandbox=sandbox)
        yield running
        running.close()


@contextlib.contextmanager
def opened(browser: Any, path: Path, width: int = 1200, height: int = 900) -> Iterator[Any]:
    """Open a file; its page has no error and asks for nothing else until it is closed again."""
    page = browser.new_page(viewport={"width": width, "height": height})
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda r: told.append(r.url) if not r.url.startswith(("file:", "data:")) else None)
    page.goto(path.resolve().as_uri())
    yield page
    assert told == []
    page.close()
