"""Masks that adapt the output of a frozen encoder's last convolution to one world. One file, one mask.

A mask's module defines ``MASK``, a subclass of :class:`~ciao_stream.worlds.mask.InhibitoryMask`. Settings choose it by
the name of the file; :func:`ciao_stream.checks.mask.check_mask` checks it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.expect import expect
from ciao_stream.runtime.plugins import load_plugin, plugin_names

if TYPE_CHECKING:
    from ciao_stream.encoders.base import LastUnit
    from ciao_stream.worlds.mask import InhibitoryMask
    from ciao_stream.worlds.masks.ciao import CiaoMask
    from ciao_stream.worlds.settings import Settings

__all__ = ["BUDGET", "CiaoMask", "choose_mask", "load_mask", "make_mask", "mask_names", "mask_options", "mask_size"]

BUDGET = 4_000_000
"""The most parameters of a mask that ``auto`` chooses: 16 MB in float32."""

ORDER = ("ciao", "pointwise", "low-rank", "depthwise")
"""Masks in the order in which ``auto`` tries them: the one that starts closest to the full mask first, as measured in
``docs/pretraining.md``."""


def mask_names() -> list[str]:
    """Return the names that :func:`load_mask` takes. Imports no torch."""
    return plugin_names(__name__)


def load_mask(name: str) -> type[InhibitoryMask]:
    """Return the class of a mask.

    Raises:
        UnknownNameError: There is no such mask.
    """
    mask: type[InhibitoryMask] = load_plugin(__name__, name, "mask").MASK
    return mask


def choose_mask(last: LastUnit, budget: int = BUDGET) -> str:
    """Return the name of the best mask that a budget allows: the full one, else one for wide layers.

    Args:
        last: The last convolution, whose output is masked.
        budget: The most parameters that the mask may have.

    Raises:
        CiaoError: The budget allows none.
    """
    from ciao_stream.encoders.base import LastUnit

    expect("last", last, LastUnit)
    expect("budget", budget, int)
    sizes = {name: mask_size(name, last) for name in ORDER}
    for name, size in sizes.items():
        if size <= budget:
            return name
    smallest = min(sizes, key=lambda name: sizes[name])
    raise CiaoError(f"no mask has at most {budget} parameters: the smallest, {smallest}, has {sizes[smallest]}")


def make_mask(last: LastUnit, settings: Settings) -> InhibitoryMask:
    """Return a new mask on a last convolution, as the settings of a world name it.

    Raises:
        CiaoError: The settings do not fit the convolution.
    """
    return load_mask(settings.mask)(last, **mask_options(settings.mask, settings))


def mask_options(name: str, settings: Settings) -> dict[str, Any]:
    """Return the values that settings have for the options of a mask.

    Raises:
        UnknownNameError: There is no such mask.
    """
    return {option: getattr(settings, option) for option in load_mask(name).options}


def mask_size(name: str, last: LastUnit, **options: Any) -> int:
    """Return the number of parameters of a mask on a last convolution.

    Args:
        name: Of the mask.
        last: The last convolution.
        options: Settings by which the mask is shaped.

    Raises:
        UnknownNameError: There is no such mask.
    """
    return load_mask(name).size(last, **options)


def __getattr__(name: str) -> Any:
    if name != "CiaoMask":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return load_mask("ciao")
