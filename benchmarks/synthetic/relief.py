"""Light and shade on the skin: soft patches for bulges and hollows, thin lines for folds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks.synthetic.anatomy import Face, Outline, crease, ellipse
from benchmarks.synthetic.scene import Scene


class Patch(NamedTuple):
    """An area to lighten or darken.

    Args:
        outline: float64 (N, 2) in face units.
        amount: Soft patches: change of brightness in 128ths, darker below 0. Folds: depth in 255ths.
        relief: Distance from the head, in face units.
    """

    outline: Outline
    amount: int
    relief: float = 0.0


def soft_light(face: Face, scene: Scene) -> tuple[list[Patch], list[Patch]]:
    """Return bulges and hollows, back to front: patches with wide soft edges, and with narrow ones."""
    a = face.a
    tip, wing = _nose(face)
    low = float(face.mouth.bottom.max())
    wide, narrow = [], []
    for one in face.eyes:
        s = one.side
        lit = scene.light * scene.light_x * s
        cheek = int(9 + 8 * lit + 9 * a["cheek_raise"])
        flank = [(0.06, -0.32), (0.17, -0.2), (wing + 0.02, tip), (0.06, tip - 0.05)]
        wide += [
            Patch(ellipse(one.x - s * 0.03, one.y - 0.07, 0.27, 0.20), -15),
            Patch(ellipse(s * 0.56, 0.34 - 0.06 * a["cheek_raise"], 0.22, 0.15), cheek),
            Patch(ellipse(s * 0.72, 0.66, 0.12, 0.26, s * 0.3), -8),
        ]
        narrow += [
            Patch(np.array(flank) * (s, 1), int(-20 + 16 * lit), 0.1),
            Patch(ellipse(s * wing, tip + 0.03, 0.075, 0.08), int(-14 + 8 * lit), 0.12),
        ]
    wide += [Patch(ellipse(0, -0.78, 0.45, 0.16), 7), Patch(ellipse(0, low + 0.25, 0.17, 0.11), 8)]
    narrow += [
        Patch(crease([(0, -0.3), (0, 0.0), (0, tip - 0.05)], 0.05), 14, 0.16),
        Patch(ellipse(0, tip - 0.02, 0.085, 0.07), 18, 0.22),
        Patch(ellipse(0, tip + 0.13, 0.15, 0.05), -26, 0.05),
        Patch(ellipse(0, low + 0.06, 0.20, 0.045), int(-24 - 14 * a["lip_press"])),
        Patch(ellipse(-0.02, low - 0.05, 0.11, 0.022), int(18 * (1 - a["lip_press"]))),
    ]
    return wide, narrow


def folds(face: Face) -> list[Patch]:
    """Lines in the skin: nostrils, lid folds and the creases of action units."""
    return [*_around_eyes(face), *_on_forehead(face), *_around_nose(face), *_around_mouth(face)]


def _nose(face: Face) -> tuple[float, float]:
    """Height of the nose's tip and half the width of its wings."""
    who, a = face.who, face.a
    tip = 0.30 * who.nose_length - 0.05 * who.child - 0.035 * a["nose_wrinkle"]
    return tip, 0.165 * who.nose_width * (1 + 0.08 * a["nose_wrinkle"] + 0.06 * a["lip_corner_pull"])


def _fold(points: list[tuple[float, float]], width: float, depth: float, relief: float = 0.0) -> list[Patch]:
    """A crease if it is deep enough to be visible, else nothing; ``depth`` in 255ths."""
    return [Patch(crease(points, width), int(depth), relief)] if depth > 14 else []


def _around_eyes(face: Face) -> list[Patch]:
    """The fold of the upper lid; bags and crow's feet of raised cheeks and tight lids."""
    who, a = face.who, face.a
    rise = 0.045 + 0.03 * a["brow_raise"] - 0.025 * a["upper_lid_raise"]
    bag = max(a["cheek_raise"], a["lid_tighten"], 0.5 * a["nose_wrinkle"], 0.6 * who.age - 0.2)
    crow = 75 * a["cheek_raise"] * (0.4 + 0.6 * who.age)
    patches = []
    for one in face.eyes:
        fold, low = one.upper - rise, one.lower + 0.05
        patches.append(Patch(one.band(fold - 0.012, fold + 0.006), 70))
        if bag > 0.15:
            patches.append(Patch(one.band(low, low + 0.022), int(80 * bag)))
        x, y, s = one.x + one.side * (one.half + 0.04), one.y, one.side
        for dy in (-0.06, 0.0, 0.06):
            patches += _fold([(x, y + 0.5 * dy), (x + s * 0.045, y + dy), (x + s * 0.09, y + 1.7 * dy)], 0.011, crow)
    return patches


def _on_forehead(face: Face) -> list[Patch]:
    """Frown lines between the brows, and lines on the forehead above raised brows."""
    a, child, age = face.a, face.who.child, face.who.age
    knit = 150 * max(a["brow_lower"], 0.6 * a["nose_wrinkle"])
    patches = []
    for s in (-1, 1):
        patches += _fold([(s * 0.085, -0.58), (s * 0.06, -0.46), (s * 0.075, -0.33)], 0.018, knit)
    across = a["brow_raise"] >= a["inner_brow_raise"]
    lines = max(a["brow_raise"], 0.75 * a["inner_brow_raise"]) * (1 - 0.5 * child) + 0.45 * max(0.0, age - 0.4)
    for row, y in enumerate((-0.74, -0.84, -0.93)):
        w, dip = (0.55, 0.03) if across else (0.26, -0.03)
        w *= 1 - 0.12 * row
        line = [(-w, y + dip), (-0.4 * w, y - 0.3 * dip), (0.4 * w, y - 0.3 * dip), (w, y + dip)]
        patches += _fold(line, 0.013, 80 * min(lines, 1.0))
    return patches


def _around_nose(face: Face) -> list[Patch]:
    """Nostrils and wings, the fold from nose to mouth, and the wrinkles over the bridge."""
    who, a, lips = face.who, face.a, face.mouth
    tip, wing = _nose(face)
    wrinkle = a["nose_wrinkle"]
    patches = []
    for s in (-1, 1):
        rim = [(s * (wing - 0.01), tip - 0.05), (s * (wing + 0.035), tip + 0.02), (s * (wing - 0.01), tip + 0.085)]
        patches.append(Patch(ellipse(s * 0.5 * wing, tip + 0.085, 0.38 * wing, 0.026, s * -0.25), 165, 0.16))
        patches.append(Patch(crease(rim, 0.015), 75, 0.1))
        pulled = max(a["lip_corner_pull"], a["smirk"] * (s > 0))
        moved = max(pulled, 0.85 * wrinkle, 0.45 * a["lip_stretch"], 0.3 * a["lip_corner_depress"])
        deep = moved * (0.75 + 0.25 * who.age) * (1 - 0.45 * who.child)
        start = (s * (wing + 0.04), tip - 0.03 - 0.05 * wrinkle)
        bulge = (s * (0.34 + 0.09 * pulled), 0.44 - 0.03 * pulled)
        end = (lips.x[-1 if s > 0 else 0] + s * (0.10 + 0.03 * pulled), 0.68 - 0.10 * pulled + 0.06 * wrinkle)
        patches += _fold([start, bulge, end], 0.022, 120 * max(deep, 0.55 * (who.age - 0.25)))
        for y in (-0.17, -0.07, 0.03):
            line = [(s * 0.01, y + 0.015), (s * 0.08, y), (s * 0.15, y + 0.05)]
            patches += _fold(line, 0.014, 115 * wrinkle, 0.12)
    return patches


def _around_mouth(face: Face) -> list[Patch]:
    """The groove under the nose; folds at pulled corners, lines below depressed ones, a dent in the chin."""
    a, lips = face.a, face.mouth
    down = a["lip_corner_depress"]
    top, low = lips.top[len(lips.top) // 2], float(lips.bottom.max()) + 0.09
    patches = _fold([(0, top - 0.13), (0, top - 0.03)], 0.02, 26)
    for s in (-1, 1):
        x, y = lips.x[-1 if s > 0 else 0], lips.inner_top[-1 if s > 0 else 0]
        pulled = max(a["lip_corner_pull"], a["smirk"] * (s > 0), 0.7 * a["lip_press"], 0.6 * a["lip_stretch"])
        patches += _fold([(x + s * 0.045, y - 0.07), (x + s * 0.065, y), (x + s * 0.03, y + 0.07)], 0.018, 115 * pulled)
        patches += _fold([(x, y), (x + s * 0.05, y + 0.07), (x + s * 0.06, y + 0.16)], 0.018, 110 * down)
    return patches + _fold([(-0.16, low + 0.04), (0, low), (0.16, low + 0.04)], 0.018, 90 * down)
