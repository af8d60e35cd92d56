"""Avalanche strategies. One file, one strategy; ``+ciao`` after a name puts a CIAO mask before its head.

Importing this package loads neither torch nor Avalanche.
"""

from __future__ import annotations

from types import ModuleType

from ciao_stream.exceptions import UnknownNameError
from ciao_stream.runtime.plugins import load_plugin, plugin_names

MASKED = "+ciao"


def strategy_names() -> list[str]:
    """Return every strategy that :func:`load_strategy` takes."""
    return [name + suffix for name in plugin_names(__name__) for suffix in ("", MASKED)]


def check_strategy_name(name: str) -> None:
    """Refuse a strategy that does not exist, without loading it.

    Raises:
        UnknownNameError: There is no such strategy.
    """
    if name not in strategy_names():
        raise UnknownNameError("strategy", name, strategy_names())


def load_strategy(name: str) -> tuple[ModuleType, bool]:
    """Return a strategy's module, and whether it is to have a mask.

    Raises:
        UnknownNameError: There is no such strategy.
    """
    check_strategy_name(name)
    return load_plugin(__name__, name.removesuffix(MASKED), "strategy"), name.endswith(MASKED)
