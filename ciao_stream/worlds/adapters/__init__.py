"""Parameter-efficient baselines, with which masks are compared. One file, one adapter.

An adapter's module defines ``ADAPTER``, a subclass of :class:`~ciao_stream.worlds.adapter.Adapter`. The name of the
file is also the name of a scheme.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciao_stream.runtime.plugins import load_plugin, plugin_names

if TYPE_CHECKING:
    from ciao_stream.worlds.adapter import Adapter

__all__ = ["adapter_names", "load_adapter", "scheme_names"]


def adapter_names() -> list[str]:
    """Return the names that :func:`load_adapter` takes. Imports no torch.

    >>> adapter_names()
    ['bitfit', 'ia3', 'lora']
    """
    return plugin_names(__name__)


def scheme_names() -> list[str]:
    """Return all schemes. Imports no torch.

    ``dl`` trains the head, ``lc`` also the last convolution, and ``full`` the whole encoder and the head. Those that
    have the name of an adapter train it and the head.
    """
    return ["dl", "lc", "full", *adapter_names()]


def load_adapter(name: str) -> type[Adapter]:
    """Return the class of an adapter.

    Raises:
        UnknownNameError: There is no such adapter.
    """
    adapter: type[Adapter] = load_plugin(__name__, name, "adapter").ADAPTER
    return adapter
