"""Names of encoders, without loading torch."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path

from ciao_stream.exceptions import CiaoError, did_you_mean
from ciao_stream.runtime.plugins import plugin_names

ARCHITECTURES = "ciao_stream.encoders.architectures"
"""Package of our own encoders, one file each."""

LIBRARIES = ("timm", "torchvision")
"""Libraries whose networks have names ``LIBRARY:NAME``."""

FETCHED = "weights:"
"""Prefix for third-party weights that the user has fetched."""

RANDOM = "random:"
"""Prefix for one of our own encoders without its trained weights."""


_NETWORK = re.compile(r"^@register_model(?:\(.*\))?\s*\n(?:@.*\n|[ )].*\n)*def (\w+)", re.MULTILINE)
"""A network in the source of a library."""


def encoder_names() -> list[str]:
    """Return the names of our own encoders."""
    return plugin_names(ARCHITECTURES)


def check_network(library: str, name: str) -> None:
    """Refuse a network that a library does not have. To import it takes seconds, so its source is searched."""
    spec = importlib.util.find_spec(library)
    if spec is None or spec.origin is None:
        raise CiaoError(f"encoder '{library}:{name}' needs {library}: pip install {library}")
    sources = (Path(spec.origin).parent / "models").glob("*.py")
    check_known(library, name, {network for file in sources for network in _NETWORK.findall(file.read_text())})


def check_known(library: str, name: str, known: Iterable[str]) -> None:
    """Refuse a network that is not one of these, of which there may be a thousand."""
    known = sorted(known)
    if not name:
        raise CiaoError(f"encoder '{library}:' lacks the name of a network: there are {len(known)}, such as resnet18")
    if name not in known:
        hint = did_you_mean(name.lower(), known, n=3) or f"there are {len(known)} others, such as resnet18"
        raise CiaoError(f"unknown network {name!r} of {library}: {hint}")
