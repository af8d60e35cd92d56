"""Masks that adapt the output of a frozen encoder's last convolution to one world. One file, one mask.

A mask's module offers its class, an :class:`~ciao_stream.worlds.mask.InhibitoryMask`, under the name ``MASK``.
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

__all__ = ["BUDGET", "CiaoMask", "choose_mask", "load_mask", "mask_names", "mask_options", "mask_size"]

BUDGET = 4_000_000
"""Parameters that a mask may have by default: 16 MB in float32. The full masks of the paper's encoders are smaller."""

ORDER = ("ciao", "pointwise", "low-rank", "depthwise")
"""Masks by how near they start to the full one, the nearest first.

Measured with random weights on eight faces of FER2013, as the distance of the inhibition relative to the full one's.
Behind convolutions of 3x3 and 5x5 (vggface, facechannel, pk, vgg16_bn): 0.52-0.74 for ``pointwise``, 0.68-0.79 for
``low-rank``; where the map is itself only 3x3 (resnet18, darknet53 at 96 pixels) ``pointwise`` is the farther one,
0.94 to 0.74 and 0.79 to 0.78, though not in the masked map. Behind those of 1x1, where ``pointwise`` is the full mask:
0.59-0.70 for ``low-rank``. 0.97-1 for ``depthwise``."""


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
