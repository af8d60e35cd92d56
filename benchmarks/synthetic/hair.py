"""Hair: behind the head and over the forehead."""

from __future__ import annotations

import numpy as np

from benchmarks.synthetic.anatomy import Face, Identity, Outline, spline

STYLES: tuple[str, ...] = ("bald", "short", "parted", "fringe", "long", "curly", "bun")
"""Styles, each an equal part of the range of ``Identity.hair_style``."""

BEARDED: tuple[str, ...] = ("bald", "short", "parted", "curly")
"""Styles that populations combine with beards."""

_HAIRLINE: dict[str, list[tuple[float, float]]] = {
    "short": [(0.0, -0.93), (0.42, -0.90), (0.80, -0.74), (0.93, -0.42)],
    "parted": [(-0.15, -0.86), (0.36, -1.02), (0.76, -0.80), (0.94, -0.40)],
    "fringe": [(0.0, -0.68), (0.45, -0.66), (0.82, -0.56), (0.95, -0.25)],
    "long": [(0.0, -1.02), (0.48, -0.82), (0.84, -0.45), (0.97, 0.05)],
    "curly": [(0.0, -0.84), (0.44, -0.82), (0.82, -0.66), (0.95, -0.30)],
    "bun": [(0.0, -0.98), (0.40, -0.94), (0.78, -0.76), (0.93, -0.36)],
}
"""From the middle of the forehead to the viewer's right temple; mirrored, except those in :data:`_LEFT`."""

_LEFT: dict[str, list[tuple[float, float]]] = {"parted": [(-0.94, -0.38), (-0.84, -0.62), (-0.60, -0.76)]}
_HEIGHT = {"short": 0.17, "parted": 0.22, "fringe": 0.2, "long": 0.2, "curly": 0.36, "bun": 0.13}


def style(who: Identity) -> str:
    """Name of the identity's hair style."""
    return STYLES[min(int(who.hair_style * len(STYLES)), len(STYLES) - 1)]


def _hairline(name: str) -> Outline:
    """The hairline on the forehead, from the viewer's left to the right: float64 (7, 2)."""
    right = _HAIRLINE[name]
    return np.array((_LEFT.get(name) or [(-x, y) for x, y in right[:0:-1]]) + right)


def front(face: Face) -> Outline | None:
    """The hair over the skull down to the hairline; None without hair."""
    name = style(face.who)
    if name == "bald":
        return None
    wide, tall = face.who.width, _HEIGHT[name]
    line = _hairline(name) * (wide, 1) + (0, 0.05 * face.who.child)
    side = 0.08 + 0.3 * (tall - 0.13)
    angles = np.linspace(0.02, np.pi - 0.02, 12)
    crown = np.stack([np.cos(angles) * (0.95 * wide + side), -0.42 - np.sin(angles) * (0.85 + tall)], axis=1)
    if name == "curly":
        crown *= 1 + 0.035 * np.where(np.arange(len(angles)) % 2, 1.0, -0.6)[:, None]
    return np.concatenate([spline(line, closed=False, steps=4), spline(crown, closed=False, steps=4)])


def back(face: Face) -> list[Outline]:
    """Outlines of the hair behind head and neck."""
    name, wide = style(face.who), face.who.width
    if name == "long":
        half = [(0, -1.62), (0.75, -1.4), (1.12, -0.7), (1.2, 0.2), (1.22, 1.0), (1.1, 1.7), (0.6, 1.9)]
    elif name == "fringe":
        half = [(0, -1.55), (0.8, -1.35), (1.12, -0.7), (1.16, 0.1), (1.08, 0.62), (0.8, 0.75)]
    elif name == "curly":
        half = [(0, -1.66), (0.8, -1.5), (1.25, -0.95), (1.3, -0.3), (1.18, 0.25), (0.85, 0.4)]
    elif name == "bun":
        return [spline([(0, -1.25), (0.34, -1.4), (0.36, -1.72), (0, -1.85), (-0.36, -1.72), (-0.34, -1.4)])]
    else:
        return []
    right = np.array(half) * (wide, 1)
    return [spline(np.concatenate([right, right[:0:-1] * (-1, 1)]))]


def strands(face: Face) -> list[list[tuple[float, float]]]:
    """Lines from the crown towards the hairline, each as control points; none for curly hair and bald heads."""
    name = style(face.who)
    if name in ("bald", "curly"):
        return []
    part = 0.3 if name == "parted" else 0.0
    line = _hairline(name)
    lines = []
    for x in (-0.76, -0.42, 0.46, 0.78):
        end = float(np.interp(x, line[:, 0], line[:, 1])) + 0.05 * face.who.child
        lines.append([(part, -1.34), (0.6 * x + 0.4 * part, 0.7 * -1.3 + 0.3 * end), (x, end - 0.08)])
    return lines
