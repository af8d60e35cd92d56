"""Which versions of packages are installed, as results and statuses report them."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires, version

PACKAGE = "ciao-stream"


def installed_version(package: str) -> str | None:
    """Return the version of an installed package; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def installed_packages() -> dict[str, str]:
    """Return the versions of this package and of those that it needs, without those that extras need."""
    needed = requires(PACKAGE) or [] if installed_version(PACKAGE) else []
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in needed if "extra ==" not in line]
    return {name: found for name in [PACKAGE, *names] if (found := installed_version(name))}
