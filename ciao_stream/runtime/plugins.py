"""One module, one plugin: an encoder, a data set or a strategy is the file with its name.

A package's public modules (those whose name has no leading underscore) are its plugins; its sub-packages hold what
they share. Listing plugins imports none of them, so that ``--help`` and error messages can name them all without
loading torch.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

from ciao_stream.exceptions import CiaoError, UnknownNameError


def plugin_names(package: str) -> list[str]:
    """Return the plugin names of an importable package, sorted; a ``_`` in a file name reads as ``-``.

    >>> "ciao" in plugin_names("ciao_stream.worlds.masks")
    True
    """
    modules = pkgutil.iter_modules(_path(package))
    return sorted(m.name.replace("_", "-") for m in modules if not (m.ispkg or m.name.startswith("_")))


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


def plugin_constant(package: str, name: str, constant: str) -> str:
    """Return a text constant of a plugin without importing the plugin.

    Args:
        package: Importable package that holds the plugins.
        name: Plugin name, as :func:`plugin_names` lists it.
        constant: Name of the constant, which the module assigns at its top level.

    Raises:
        CiaoError: The module has no such line.

    >>> plugin_constant("ciao_stream.stream.sources", "camera", "FORM")
    'camera:NUMBER'
    """
    spec = importlib.util.find_spec(f"{package}.{name.replace('-', '_')}")
    file = Path(spec.origin) if spec is not None and spec.origin else Path(name)
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == constant:
            return str(ast.literal_eval(node.value))
    raise CiaoError(f'{file}: expected a line {constant} = "..."')


def _path(package: str) -> list[str]:
    """Return the folders of a package without importing it, which may load torch."""
    if package in sys.modules:
        return [*sys.modules[package].__path__]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"no package {package!r}")
    return [*spec.submodule_search_locations]
