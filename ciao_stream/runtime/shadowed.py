"""Finds a package of the user's own that hides one of ours, as ``python -m`` in its folder makes it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path

NAMES = ("benchmarks", "strategies", "tuning")
"""Our top-level packages with names that others use, too."""


def shadowed(path: Sequence[str]) -> str | None:
    """Return one line that names what hides one of our packages, and what to do; None where nothing does.

    Args:
        path: Where Python looks for modules, first entry first, such as ``sys.path``.
    """
    ours = Path(__file__).resolve().parents[2]
    for name in NAMES:
        spec = PathFinder.find_spec(name, path)
        found = Path(spec.origin or next(iter(spec.submodule_search_locations or ["."]))).resolve() if spec else ours
        place = found.parent if found.name == "__init__.py" else found
        if spec and place.parent != ours:
            return (
                f"{place} hides the package {name!r} that ciao_stream uses: run from another folder, "
                "or use `ciao-stream NAME` in place of `python -m ciao_stream.NAME`"
            )
    return None


def exit_if_shadowed() -> None:
    """Print one line on stderr and exit with code 2 if a command of ours was started where a package is hidden."""
    ours = any(word.removeprefix("-m").partition(".")[0] == "ciao_stream" for word in sys.orig_argv)
    if ours and (problem := shadowed(sys.path)):
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)
