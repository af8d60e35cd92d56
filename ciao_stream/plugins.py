"""One module, one plugin: an encoder, a data set or a strategy is the file that bears its name.

A package's public modules (those whose name has no leading underscore) are its plugins. Listing them imports
nothing, so that ``--help`` and error messages can name them all without loading torch.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from ciao_stream.exceptions import UnknownNameError


def plugin_names(package: str) -> list[str]:
    """Return the plugin names of an importable package, sorted; a ``_`` in a file name reads as ``-``.

    >>> plugin_names("ciao_stream.encoders")
    ['ciao-face', 'facechannel', 'pk', 'resnet18', 'vggface']
    """
    path = importlib.import_module(package).__path__
    return sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(path) if not m.name.startswith("_"))


def load_plugin(package: str, name: str, what: str) -> ModuleType:
    """Import the module of the plugin ``name``.

    Args:
        package: Importable package that holds the plugins.
        name: Plugin name, as :func:`plugin_names` lists it.
        what: What such a plugin is called in an error (``encoder``).

    Raises:
        UnknownNameError: There is no such plugin.
    """
    names = plugin_names(package)
    if name not in names:
        raise UnknownNameError(what, name, names)
    return importlib.import_module(f"{package}.{name.replace('-', '_')}")
