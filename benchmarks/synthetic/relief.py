"""Light and shade on the skin: soft patches for what bulges or sinks, thin lines for what folds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks.synthetic.anatomy import Face, Outline, crease, ellipse, eye, mouth
from benchmarks.synthetic.scene import Scene


class Patch(NamedTuple):
    """An area to lighten or darken.

    Args:
        outline: float64 (N, 2) in face units.
        amount: Soft patches: change of brightness in 128ths, darker below 0. Folds: depth in 255ths.
        group: 0 for a wide blur, 1 for a narrow one.
        relief: How far it stands off the head, in face units.
    """

    outline: Outline
    amount: int
    group: int = 0
    relief: float = 0.0


def soft_light(face: Face, scene: Scene) -> list[Patch]:
    """Patches in painter's order: sockets, cheeks, nose, mouth and chin."""
    who, a = face.who, face.a
    tip = 0.30 * who.nose_length - 0.05 * who.child - 0.035 * a["nose_wrinkle"]
    wing = 0.165 * who.nose_width * (1 + 0.08 * a["nose_wrinkle"] + 0.06 * a["lip_corner_pull"])
    lips = mouth(face)
    patches = []
    for side in (-1, 1):
        one = eye(face, side)
        lit = scene.light * scene.light_x * side
        patches += [
            Patch(ellipse(one.x - side * 0.03, one.y - 0.07, 0.27, 0.20), -15),
            Patch(ellipse(side * 0.56, 0.34 - 0.06 * a["cheek_raise"], 0.22, 0.15), int(9 + 8 * lit + 9 * a["cheek_raise"])),
            Patch(ellipse(side * 0.72, 0.66, 0.12, 0.26, side * 0.3), -8),
            Patch(np.array([(side * 0.06, -0.32), (side * 0.17, -0.2), (side * (wing + 0.02), tip), (side * 0.06, tip - 0.05)]),
                  int(-20 + 16 * lit), 1, 0.1),
            Patch(ellipse(side * wing, tip + 0.03, 0.075, 0.08), int(-14 + 8 * lit), 1, 0.12),
        ]
    patches += [
        Patch(ellipse(0, -0.78, 0.45, 0.16), 7),
        Patch(crease([(0, -0.3), (0, 0.0), (0, tip - 0.05)], 0.05), 16, 1, 0.16),
        Patch(ellipse(0, tip - 0.02, 0.085, 0.07), 20, 1, 0.22),
        Patch(ellipse(0, tip + 0.13, 0.15, 0.05), -26, 1, 0.05),
        Patch(ellipse(0, lips.bottom.max() + 0.06, 0.20, 0.045), int(-24 - 14 * a["lip_press"]), 1),
        Patch(ellipse(0, lips.bottom.max() + 0.25, 0.17, 0.11), 8),
        Patch(ellipse(-0.02, lips.bottom.max() - 0.05, 0.11, 0.022), int(18 * (1 - a["lip_press"])), 1),
    ]
    return patches


def folds(face: Face) -> list[Patch]:
    """Lines in the skin: nostrils, lid folds, and whatever the action units crease."""
    return _around_eyes(face) + _around_nose(face) + _around_mouth(face)


def _around_eyes(face: Face) -> list[Patch]:
    who, a = face.who, face.a
    patches = []
    raised, knit = max(a["brow_raise"], 0.0), max(a["brow_lower"], 0.6 * a["nose_wrinkle"])
    for side in (-1, 1):
        one = eye(face, side)
        rise = 0.045 + 0.03 * a["brow_raise"] - 0.025 * a["upper_lid_raise"]
        patches.append(Patch(one.band(one.upper - rise - 0.012, one.upper - rise + 0.006), 70))
        bag = max(a["cheek_raise"], a["lid_tighten"], 0.5 * a["nose_wrinkle"], 0.6 * who.age - 0.2)
        if bag > 0.15:
            low = one.lower + 0.05
            patches.append(Patch(one.band(low, low + 0.022), int(80 * bag)))
        crow = a["cheek_raise"] * (0.5 + 0.5 * who.age)
        if crow > 0.15:
            x, y = one.x + side * (one.half + 0.03), one.y
            for dy in (-0.07, 0.0, 0.07):
                patches.append(Patch(crease([(x, y + 0.4 * dy), (x + side * 0.06, y + dy), (x + side * 0.12, y + 1.7 * dy)], 0.011), int(110 * crow)))
        if knit > 0.15:
            patches.append(Patch(crease([(side * 0.085, -0.58), (side * 0.06, -0.46), (side * 0.075, -0.33)], 0.018), int(150 * knit)))
    lines = max(raised, 0.75 * a["inner_brow_raise"]) * (1 - 0.5 * who.child) + 0.45 * max(0.0, who.age - 0.4)
    if lines > 0.15:
        reach = 0.55 if raised >= a["inner_brow_raise"] else 0.26
        for k, y in enumerate((-0.74, -0.84, -0.93)):
            dip = 0.03 if reach > 0.3 else -0.03
            w = reach * (1 - 0.12 * k)
            patches.append(Patch(crease([(-w, y + dip), (-0.4 * w, y - 0.3 * dip), (0.4 * w, y - 0.3 * dip), (w, y + dip)], 0.013), int(80 * min(lines, 1.0))))
    return patches


def _around_nose(face: Face) -> list[Patch]:
    who, a = face.who, face.a
    wrinkle = a["nose_wrinkle"]
    tip = 0.30 * who.nose_length - 0.05 * who.child - 0.035 * wrinkle
    wing = 0.165 * who.nose_width * (1 + 0.08 * wrinkle + 0.06 * a["lip_corner_pull"])
    lips = mouth(face)
    patches = []
    for side in (-1, 1):
        patches += [
            Patch(ellipse(side * 0.5 * wing, tip + 0.085, 0.38 * wing, 0.026, side * -0.25), 165, 0, 0.16),
            Patch(crease([(side * (wing - 0.01), tip - 0.05), (side * (wing + 0.035), tip + 0.02), (side * (wing - 0.01), tip + 0.085)], 0.015), 75, 0, 0.1),
        ]
        corner = lips.x[-1 if side > 0 else 0]
        pulled = max(a["lip_corner_pull"], a["smirk"] if side > 0 else 0.0)
        deep = max(pulled, 0.85 * wrinkle, 0.45 * a["lip_stretch"], 0.3 * a["lip_corner_depress"]) * (0.75 + 0.25 * who.age)
        deep = max(deep * (1 - 0.45 * who.child), 0.55 * max(0.0, who.age - 0.25))
        if deep > 0.1:
            start = (side * (wing + 0.04), tip - 0.03 - 0.05 * wrinkle)
            bulge = (side * (0.34 + 0.09 * pulled), 0.44 - 0.03 * pulled)
            end = (corner + side * (0.10 + 0.03 * pulled), 0.68 - 0.10 * pulled + 0.06 * wrinkle)
            patches.append(Patch(crease([start, bulge, end], 0.022), int(120 * deep)))
        if wrinkle > 0.15:
            for y in (-0.17, -0.07, 0.03):
                patches.append(Patch(crease([(side * 0.01, y + 0.015), (side * 0.08, y), (side * 0.15, y + 0.05)], 0.014), int(115 * wrinkle), 0, 0.12))
    return patches


def _around_mouth(face: Face) -> list[Patch]:
    a, lips = face.a, mouth(face)
    patches = [Patch(crease([(0, lips.top[10] - 0.13), (0, lips.top[10] - 0.03)], 0.02), 26)]
    for side in (-1, 1):
        at = -1 if side > 0 else 0
        x, y = lips.x[at], lips.inner_top[at]
        pulled = max(a["lip_corner_pull"], a["smirk"] if side > 0 else 0.0, 0.7 * a["lip_press"], 0.6 * a["lip_stretch"])
        if pulled > 0.1:
            patches.append(Patch(crease([(x + side * 0.045, y - 0.07), (x + side * 0.065, y), (x + side * 0.03, y + 0.07)], 0.018), int(115 * pulled)))
        if a["lip_corner_depress"] > 0.15:
            patches.append(Patch(crease([(x, y), (x + side * 0.05, y + 0.07), (x + side * 0.06, y + 0.16)], 0.018), int(110 * a["lip_corner_depress"])))
    if a["lip_corner_depress"] > 0.3:
        y = float(lips.bottom.max()) + 0.09
        patches.append(Patch(crease([(-0.16, y + 0.04), (0, y), (0.16, y + 0.04)], 0.018), int(90 * a["lip_corner_depress"])))
    return patches
