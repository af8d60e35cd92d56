"""Versions of installed packages, for results and status reports."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires, version

PACKAGE = "ciao-stream"


def installed_version(package: str) -> str | None:
    """Return the version of an installed package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def installed_packages() -> dict[str, str]:
    """Return the versions of this package and of its dependencies, without those of extras."""
    needed = requires(PACKAGE) or [] if installed_version(PACKAGE) else []
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in needed if "extra ==" not in line]
    return {name: found for name in [PACKAGE, *names] if (found := installed_version(name))}
