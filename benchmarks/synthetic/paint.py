"""The shapes of a face and their flat colours, back to front, before light is applied."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks.synthetic import hair
from benchmarks.synthetic.anatomy import Eye, Face, Outline, brow, chin, crease, ellipse, head, spline, tapered
from benchmarks.synthetic.palette import Colour, eye_colour, hair_colour, lip_colour, mix, skin_colour, wall_colour
from benchmarks.synthetic.scene import Scene


class Shape(NamedTuple):
    """An outline, float64 (N, 2) in face units, to fill; ``relief`` is its distance from the head."""

    outline: Outline
    colour: Colour
    relief: float = 0.0


def under_light(face: Face, scene: Scene) -> list[Shape]:
    """Shapes behind and on the head, which light and folds are applied to."""
    return [*_behind(face, scene), *_head(face), *_eyes(face), *_mouth(face)]


def over_light(face: Face, scene: Scene) -> list[Shape]:
    """Shapes over the skin: brows, hair, glasses, a hand or a bar."""
    return [*_brows(face), *_hair(face, scene), *_HIDING[scene.occlusion](face, scene)]


def _behind(face: Face, scene: Scene) -> list[Shape]:
    """Hair behind the head, shoulders, and the neck in the shadow of the chin."""
    skin, low = skin_colour(face.who), chin(face)
    neck = 0.5 * face.who.width * (1 - 0.2 * face.who.child)
    dark = mix(hair_colour(face.who), (0, 0, 0), 0.35)
    body = np.array([(-1.9, 2.6), (-1.5, 1.75), (-neck, 1.42), (neck, 1.42), (1.5, 1.75), (1.9, 2.6)])
    throat = np.array([(-neck, 0.6), (neck, 0.6), (neck * 1.05, 1.5), (0, 1.75), (-neck * 1.05, 1.5)])
    return [
        *(Shape(outline, dark) for outline in hair.back(face)),
        Shape(body, wall_colour(scene, 0.55, 0.45)),
        Shape(throat, mix(skin, (40, 10, 10), 0.22)),
        Shape(ellipse(0, low - 0.1, neck * 1.05, 0.24), mix(skin, (40, 10, 10), 0.38)),
    ]


def _head(face: Face) -> list[Shape]:
    """Ears, face and beard."""
    who, skin = face.who, skin_colour(face.who)
    shapes = []
    if hair.style(face.who) not in ("long", "fringe"):
        for side in (-1, 1):
            x = side * 0.97 * who.width
            shapes.append(Shape(ellipse(x, 0.05, 0.13, 0.27, side * 0.18), mix(skin, (90, 30, 20), 0.1)))
            shapes.append(Shape(ellipse(x + side * 0.02, 0.04, 0.06, 0.17, side * 0.18), mix(skin, (90, 30, 20), 0.3)))
    shapes.append(Shape(head(face), skin))
    if who.beard > 0.05:
        shapes.append(_beard(face))
    return shapes


def _beard(face: Face) -> Shape:
    """Stubble to full beard: the jaw below a line from ear to ear above the upper lip."""
    who, lips = face.who, face.mouth
    outline = head(face, 0.02)
    jaw = outline[outline[:, 1] > 0.3]
    jaw = jaw[np.argsort(-jaw[:, 0])]
    over = 0.5 + 0.03 * face.a["jaw_drop"] - 0.04 * face.a["nose_wrinkle"]
    left, right = (lips.x[0] - 0.13, lips.inner_top[0]), (lips.x[-1] + 0.13, lips.inner_top[-1])
    edge = 0.72 * who.width
    line = [(jaw[-1][0], 0.3), (-edge, 0.52), left, (-0.2, over), (0.2, over), right, (edge, 0.52), (jaw[0][0], 0.3)]
    colour = mix(skin_colour(who), hair_colour(who), 0.22 + 0.6 * min(1.0, who.beard * 1.3))
    return Shape(np.concatenate([spline(line, closed=False, steps=4), jaw]), colour)


def _eyes(face: Face) -> list[Shape]:
    """Sclera in the shade of the lid, iris, pupil and highlight between the lids; lashes on their rims."""
    who = face.who
    skin, iris = skin_colour(who), eye_colour(who)
    size = who.eye_size * (1 + 0.22 * who.child)
    shapes = []
    for one in face.eyes:
        rim = np.interp(Eye.T, [-1, -0.6, 0.5, 1], [0.008, 0.017, 0.026, 0.020])
        shapes += [
            Shape(one.opening(), (240, 237, 233)),
            Shape(one.band(one.upper, one.upper + 0.22 * (one.lower - one.upper)), (205, 198, 196)),
            Shape(one.disc(0.112 * size), mix(iris, (0, 0, 0), 0.55)),
            Shape(one.disc(0.092 * size), iris),
            Shape(one.disc(0.046 * size), (14, 10, 10)),
            Shape(one.disc(0.022 * size, -0.035, -0.04), (255, 255, 255)),
            Shape(one.band(one.upper - rim, one.upper + 0.6 * rim), mix(skin, (25, 14, 12), 0.88)),
            Shape(one.band(one.lower - 0.004, one.lower + 0.010), mix(skin, (60, 20, 20), 0.5)),
        ]
    return shapes


def _mouth(face: Face) -> list[Shape]:
    """The opening with tongue and teeth, and the lips around it."""
    lips = face.mouth
    colour = mix(lip_colour(face.who), skin_colour(face.who), 0.35 * face.a["lip_press"])
    gap = lips.inner_bottom - lips.inner_top
    shapes = [
        Shape(lips.band(lips.top, lips.bottom), mix(colour, (60, 0, 10), 0.12)),
        Shape(lips.band(lips.inner_bottom, lips.bottom), mix(colour, (255, 225, 215), 0.10)),
        Shape(lips.band(lips.top, lips.inner_top), mix(colour, (70, 10, 20), 0.16)),
    ]
    if gap.max() > 0.02:
        shapes += _inside_mouth(face, gap)
    if gap.max() < 0.05:
        line = np.stack([lips.x * 1.03, 0.5 * (lips.inner_top + lips.inner_bottom)], axis=1)
        shapes.append(Shape(tapered(line, 0.016 * (1 - lips.T**6) + 0.005), mix(colour, (40, 5, 10), 0.75)))
    return shapes


def _inside_mouth(face: Face, gap: Outline) -> list[Shape]:
    """A dark opening, the tongue in an open jaw, and the teeth that smiles, stretched lips and snarls show."""
    a, lips, t = face.a, face.mouth, face.mouth.T
    shapes = [Shape(lips.band(lips.inner_top, lips.inner_bottom), (46, 12, 14))]
    if a["jaw_drop"] > 0.3:
        rise = 0.55 * np.sqrt(np.clip(0.4 - t**2, 0, None))
        shapes.append(Shape(lips.band(lips.inner_bottom - rise * gap, lips.inner_bottom, 0.9), (150, 62, 66)))
    bare = max(a["lip_corner_pull"], a["lip_stretch"], a["nose_wrinkle"])
    seam = lips.inner_top + np.minimum(gap, (0.05 + 0.10 * bare) * (1 - t**4))
    shapes.append(Shape(lips.band(lips.inner_top, seam, 0.92), (242, 238, 228)))
    lower = 0.10 * max(a["lip_stretch"], 0.8 * a["nose_wrinkle"]) * (1 - a["lip_corner_pull"])
    if lower > 0.03:
        rise = np.minimum(lips.inner_bottom - seam, lower * (1 - t**4))
        shapes.append(Shape(lips.band(lips.inner_bottom - rise, lips.inner_bottom, 0.92), (226, 220, 208)))
        shapes.append(Shape(lips.band(seam - 0.006, seam + 0.006, 0.9), (120, 90, 86)))
    return shapes


def _brows(face: Face) -> list[Shape]:
    colour = mix(mix(hair_colour(face.who), (20, 14, 10), 0.45), skin_colour(face.who), 0.12)
    return [Shape(brow(face, side), colour) for side in (-1, 1)]


def _hair(face: Face, scene: Scene) -> list[Shape]:
    """Hair over skull and forehead, with a sheen on the side of the light and a few strands."""
    outline = hair.front(face)
    if outline is None:
        return []
    colour = hair_colour(face.who)
    x, y = 0.4 * scene.light_x, -1.16 - 0.1 * (hair.style(face.who) == "curly")
    bright, dark = mix(colour, (255, 240, 220), 0.07 + 0.09 * scene.light), mix(colour, (0, 0, 0), 0.14)
    shapes = [Shape(outline, colour), Shape(crease([(x - 0.5, y + 0.1), (x, y), (x + 0.5, y + 0.1)], 0.05), bright)]
    for strand in hair.strands(face):
        shapes.append(Shape(crease(strand, 0.014), dark))
    return shapes


def _bare(face: Face, scene: Scene) -> list[Shape]:  # noqa: ARG001
    return []


def _glasses(face: Face, scene: Scene) -> list[Shape]:  # noqa: ARG001
    frame = (30.0, 26.0, 28.0)
    shapes = [Shape(crease([(-0.13, -0.12), (0, -0.16), (0.13, -0.12)], 0.03), frame, 0.15)]
    for one in face.eyes:
        x, y = one.x + one.side * 0.02, one.y + 0.03
        outer, inner = ellipse(x, y, 0.325, 0.265), ellipse(x, y, 0.29, 0.23)
        ring = np.concatenate([outer, outer[:1], inner[:1], inner[::-1]])
        temple = crease([(one.side * 0.72, one.y - 0.02), (one.side * 1.0, one.y - 0.06)], 0.025)
        shapes += [Shape(ring, frame, 0.08), Shape(temple, frame)]
    return shapes


def _bar(face: Face, scene: Scene) -> list[Shape]:  # noqa: ARG001
    edge = np.array([(1.8, -1.6), (0.62, -1.6), (0.50, 1.9), (1.8, 1.9)])
    return [Shape(edge * (scene.side, 1), (44, 44, 48))]


def _hand(face: Face, scene: Scene) -> list[Shape]:
    """A palm on the cheek and four fingers up the side of the face."""
    skin, s = skin_colour(face.who), scene.side
    shadow = mix(skin, (50, 15, 10), 0.35)
    shapes = [Shape(ellipse(s * 1.0, 1.3, 0.36, 0.5, s * 0.3), mix(skin, (50, 15, 10), 0.12))]
    for finger in range(4):
        x, y = s * (0.70 + 0.14 * finger), 0.72 - 0.10 * finger
        shapes.append(Shape(ellipse(x, y, 0.095, 0.40, s * 0.12), shadow))
        shapes.append(Shape(ellipse(x + s * 0.012, y, 0.08, 0.385, s * 0.12), mix(skin, (255, 235, 220), 0.08)))
    return shapes


_HIDING = {"none": _bare, "glasses": _glasses, "hand": _hand, "bar": _bar}
