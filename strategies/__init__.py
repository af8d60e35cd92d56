"""Avalanche strategies: one file, one strategy. ``+ciao`` after a name puts a CIAO mask before its head.

A strategy's module has a constant ``TAKES_MASK`` and a function ``strategy()``, which returns a
:class:`strategies.base.Runner`. It imports torch, Avalanche and the like inside its functions only, so that
listing the strategies imports none of them.
"""

from __future__ import annotations

import functools

from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.runtime.plugins import load_plugin, plugin_names
from strategies.base import Runner

MASKED = "+ciao"


def strategy_names() -> list[str]:
    """Return every name that :func:`load_strategy` takes."""
    plain = plugin_names(__name__)
    return sorted([*plain, *(name + MASKED for name in plain if load_plugin(__name__, name, "strategy").TAKES_MASK)])


def check_strategy_name(name: str) -> None:
    """Refuse a strategy that does not exist, or a mask for one that takes none.

    Raises:
        CiaoError: The strategy takes no mask.
        UnknownNameError: There is no such strategy.
    """
    names = strategy_names()
    if name not in names and (plain := name.removesuffix(MASKED)) in names:
        has = "already has a mask" if plain.endswith(MASKED) else "has no mask"
        raise CiaoError(f"strategy {plain!r} {has}: use {plain!r} in place of {name!r}")
    if name not in names:
        raise UnknownNameError("strategy", name, names)


@functools.cache
def load_strategy(name: str) -> tuple[Runner, bool]:
    """Return a strategy, and whether it is to have a mask.

    Raises:
        CiaoError: The strategy takes no mask.
        UnknownNameError: There is no such strategy.
    """
    check_strategy_name(name)
    module = load_plugin(__name__, name.removesuffix(MASKED), "strategy")
    return module.strategy(), name.endswith(MASKED)
