"""Colours of skin, hair, eyes, lips and walls."""

from __future__ import annotations

import numpy as np

from benchmarks.synthetic.anatomy import Identity
from benchmarks.synthetic.scene import Scene

Colour = tuple[float, float, float]
"""Red, green and blue, 0 to 255."""

_SKIN: tuple[Colour, ...] = (
    (250, 219, 199), (238, 196, 168), (222, 172, 136), (190, 136, 100), (146, 98, 70), (104, 68, 50),
)  # fmt: skip
_HAIR: tuple[Colour, ...] = (
    (28, 24, 26), (52, 36, 28), (88, 58, 38), (128, 72, 40), (196, 152, 92), (172, 168, 166),
)  # fmt: skip
_IRIS: tuple[Colour, ...] = ((70, 42, 24), (98, 62, 32), (112, 100, 52), (86, 120, 92), (84, 124, 160))


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Blend two colours; ``share`` is how much of ``b``."""
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share)


def _along(scale: tuple[Colour, ...], at: float) -> Colour:
    """The colour at position ``at`` in [0, 1] of a scale."""
    place = at * (len(scale) - 1)
    step = min(int(place), len(scale) - 2)
    return mix(scale[step], scale[step + 1], place - step)


def skin_colour(who: Identity) -> Colour:
    """Skin, from light to dark."""
    return _along(_SKIN, who.skin)


def hair_colour(who: Identity) -> Colour:
    """Hair; dark skin keeps dark hair unless it is grey."""
    tone = who.hair_tone if who.hair_tone > 0.9 else who.hair_tone * (1 - 0.75 * who.skin)
    return _along(_HAIR, tone)


def eye_colour(who: Identity) -> Colour:
    """Iris; dark skin keeps dark eyes."""
    return _along(_IRIS, who.iris * (1 - 0.9 * who.skin))


def lip_colour(who: Identity) -> Colour:
    """Lips: redder than the skin."""
    return mix(skin_colour(who), (168, 48, 62), 0.5 - 0.12 * who.skin)


def wall_colour(scene: Scene, brightness: float, tint: float = 0.12) -> Colour:
    """The wall's colour times ``brightness``, with a share ``tint`` of the scene's hue."""
    phase = 2 * np.pi * (scene.hue + np.array([0.0, 1 / 3, 2 / 3]))
    level = (30 + 215 * scene.background) * brightness
    red, green, blue = np.clip(level * (1 + tint * np.cos(phase)), 0, 255).tolist()
    return red, green, blue
