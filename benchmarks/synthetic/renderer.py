"""Draws a face: flat colours in painter's order, then soft light and the folds of the skin, then the camera."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.synthetic import hair
from benchmarks.synthetic.action_units import Actions
from benchmarks.synthetic.anatomy import Face, Identity, Outline, brow, chin, crease, ellipse, eye, head, mouth, tapered
from benchmarks.synthetic.palette import Colour, eye_colour, hair_colour, lip_colour, mix, skin_colour, wall_colour
from benchmarks.synthetic.relief import folds, soft_light
from benchmarks.synthetic.scene import Scene
from ciao_stream.faces import Image

_SUB = 4
"""Bits of a pixel's fraction in OpenCV's coordinates."""

_VIEW = 1.42
"""Face units from the middle of the picture to its edge."""


def render(who: Identity, aus: Actions, scene: Scene, size: int = 96, gray: bool = False) -> Image:
    """Draw one face. The same arguments give the same picture.

    Args:
        who: The person.
        aus: What the face does, float (len(AUS),) in ``[0, 1]``.
        scene: Camera, light, occlusion.
        size: Height and width in pixels, 1 or more.
        gray: Whether the picture has one channel.

    Returns:
        uint8, (size, size, 3) in RGB order, or (size, size) if ``gray``.
    """
    face = Face.of(who, aus)
    canvas = _Canvas(size, scene)
    _paint_behind(canvas, face, scene)
    _paint_head(canvas, face)
    _paint_eyes(canvas, face)
    _paint_mouth(canvas, face)
    canvas.shade(face)
    _paint_brows(canvas, face)
    _paint_hair(canvas, face)
    _paint_occlusion(canvas, face, scene)
    return _photograph(canvas.pixels, scene, size, gray)


class _Canvas:
    """A picture larger than the one asked for, and the projection of face units onto it."""

    def __init__(self, size: int, scene: Scene) -> None:
        self.scene = scene
        self.side = size * (2 if size >= 56 else 3 if size >= 40 else 4)
        self.pixels = np.empty((self.side, self.side, 3), np.uint8)
        yaw, pitch, roll = np.radians([scene.yaw, scene.pitch, scene.roll]).tolist()
        self._sin_yaw, self._cos_yaw = np.sin(yaw), np.cos(yaw)
        self._sin_pitch, self._cos_pitch = np.sin(pitch), np.cos(pitch)
        zoom = self.side / (2 * _VIEW) * scene.scale
        c, s = np.cos(roll) * zoom, np.sin(roll) * zoom
        self._turn = np.array([[c, s], [-s, c]])
        self._middle = np.array([0.5 + scene.x, 0.5 + scene.y]) * self.side

    def project(self, points: Outline, relief: float = 0.0) -> npt.NDArray[np.float64]:
        """Map face units (N, 2) on the ellipsoid of the head, raised by ``relief``, to pixels (N, 2)."""
        x, y = points[:, 0], points[:, 1]
        z = 0.75 * np.sqrt(np.maximum(0.0, 1 - (x / 1.02) ** 2 - (y / 1.45) ** 2)) + (relief - 0.3)
        turned = np.stack(
            [x * self._cos_yaw + z * self._sin_yaw, y * self._cos_pitch + z * self._sin_pitch], axis=1
        )
        pixels: npt.NDArray[np.float64] = turned @ self._turn + self._middle
        return pixels

    def fill(self, points: Outline, colour: Colour, relief: float = 0.0) -> None:
        """Fill an outline, antialiased."""
        fixed = np.round((self.project(points, relief) - 0.5) * (1 << _SUB)).astype(np.int32)
        cv2.fillPoly(self.pixels, [fixed], colour, cv2.LINE_AA, _SUB)

    def shade(self, face: Face) -> None:
        """Multiply the head with light that wraps it, soft relief and the folds of the skin."""
        small = self.side // 2
        light = _head_light(self, face, small)
        for group, sigma in ((0, 0.030), (1, 0.011)):
            layer = np.full((small, small), 128, np.uint8)
            for patch in soft_light(face, self.scene):
                if patch.group == group:
                    fixed = np.round((self.project(patch.outline, patch.relief) / 2 - 0.5) * (1 << _SUB))
                    cv2.fillPoly(layer, [fixed.astype(np.int32)], 128 + patch.amount, cv2.LINE_8, _SUB)
            layer = cv2.GaussianBlur(layer, (0, 0), sigma * small * self.scene.scale)
            light *= layer.astype(np.float32) * (1 / 128)
        lines = np.full((self.side, self.side), 255, np.uint8)
        for patch in folds(face):
            fixed = np.round((self.project(patch.outline, patch.relief) - 0.5) * (1 << _SUB)).astype(np.int32)
            cv2.fillPoly(lines, [fixed], 255 - patch.amount, cv2.LINE_AA, _SUB)
        lines = cv2.GaussianBlur(lines, (0, 0), 0.005 * self.side)
        full = cv2.resize(light, (self.side, self.side), interpolation=cv2.INTER_LINEAR)
        full = cv2.multiply(full, lines, scale=1 / 255, dtype=cv2.CV_32F)
        self.pixels = cv2.multiply(self.pixels, cv2.merge([full, full, full]), dtype=cv2.CV_8U)


@lru_cache(maxsize=8)
def _grid(side: int) -> npt.NDArray[np.float32]:
    """Pixel centres of a side x side picture, float32 (2, side, side) from 0 to 1."""
    ticks = (np.arange(side, dtype=np.float32) + 0.5) / side
    return np.stack(np.broadcast_arrays(ticks[None, :], ticks[:, None]))


def _head_light(canvas: _Canvas, face: Face, side: int) -> npt.NDArray[np.float32]:
    """Light on the ellipsoid of the head, float32 (side, side); 1 outside head and neck."""
    scene = canvas.scene
    centre = canvas.project(np.array([[0.0, 0.0]]))[0] / canvas.side
    reach = scene.scale / (2 * _VIEW)
    u = (_grid(side)[0] - centre[0]) / np.float32(1.05 * reach)
    v = (_grid(side)[1] - centre[1]) / np.float32(1.45 * reach)
    depth = np.sqrt(np.maximum(np.float32(0.02), 1 - u * u - v * v))
    lit = u * np.float32(scene.light_x) + v * np.float32(scene.light_y)
    light = 1 + np.float32(0.34 * scene.light) * lit + np.float32(0.42) * (depth - np.float32(0.72))
    mask = np.zeros((side, side), np.uint8)
    outline = np.concatenate([canvas.project(head(face, 0.03))]) / 2
    cv2.fillPoly(mask, [np.round((outline - 0.5) * (1 << _SUB)).astype(np.int32)], 255, cv2.LINE_AA, _SUB)
    blend = mask.astype(np.float32) * np.float32(1 / 255)
    wrapped: npt.NDArray[np.float32] = 1 + blend * (light - 1)
    return wrapped


def _paint_behind(canvas: _Canvas, face: Face, scene: Scene) -> None:
    """Wall, hair behind the head, shoulders and neck."""
    top, bottom = wall_colour(scene, 1.06), wall_colour(scene, 0.86)
    ramp = np.linspace(0, 1, canvas.side, dtype=np.float32)[:, None]
    rows = np.array(top, np.float32) * (1 - ramp) + np.array(bottom, np.float32) * ramp
    canvas.pixels[:] = rows.astype(np.uint8)[:, None, :]
    dark = mix(hair_colour(face.who), (0, 0, 0), 0.35)
    for outline in hair.back(face):
        canvas.fill(outline, dark)
    low, skin = chin(face), skin_colour(face.who)
    neck = 0.5 * face.who.width * (1 - 0.2 * face.who.child)
    cloth = wall_colour(scene, 0.55, 0.45)
    canvas.fill(np.array([(-1.9, 2.6), (-1.5, 1.75), (-neck, 1.42), (neck, 1.42), (1.5, 1.75), (1.9, 2.6)]), cloth)
    canvas.fill(np.array([(-neck, 0.6), (neck, 0.6), (neck * 1.05, 1.5), (0, 1.75), (-neck * 1.05, 1.5)]),
                mix(skin, (40, 10, 10), 0.22))
    canvas.fill(ellipse(0, low - 0.1, neck * 1.05, 0.24), mix(skin, (40, 10, 10), 0.38))


def _paint_head(canvas: _Canvas, face: Face) -> None:
    """Ears, face and beard, in flat skin."""
    who, skin = face.who, skin_colour(face.who)
    if hair.style(face) not in ("long", "fringe"):
        for side in (-1, 1):
            x = side * 0.97 * who.width
            canvas.fill(ellipse(x, 0.05, 0.13, 0.27, side * 0.18), mix(skin, (90, 30, 20), 0.1))
            canvas.fill(ellipse(x + side * 0.02, 0.04, 0.06, 0.17, side * 0.18), mix(skin, (90, 30, 20), 0.3))
    canvas.fill(head(face), skin)
    if who.beard > 0.05:
        _paint_beard(canvas, face)


def _paint_beard(canvas: _Canvas, face: Face) -> None:
    """Stubble to full beard: the lower face below a line from ear to ear that spares the lips."""
    who = face.who
    colour = mix(skin_colour(who), hair_colour(who), 0.22 + 0.6 * min(1.0, who.beard * 1.3))
    lips = mouth(face)
    outline = head(face, 0.02)
    jaw = outline[outline[:, 1] > 0.30]
    jaw = jaw[np.argsort(-jaw[:, 0])]
    corner_l, corner_r = (lips.x[0] - 0.13, lips.inner_top[0]), (lips.x[-1] + 0.13, lips.inner_top[-1])
    upper = spline_through(
        [(jaw[-1][0], 0.3), (-0.72 * who.width, 0.52), corner_l, (-0.2, 0.5 + 0.04 * face.a["jaw_drop"]),
         (0.2, 0.5 + 0.04 * face.a["jaw_drop"]), corner_r, (0.72 * who.width, 0.52), (jaw[0][0], 0.3)]
    )
    canvas.fill(np.concatenate([upper, jaw]), colour)


def spline_through(points: list[tuple[float, float]]) -> Outline:
    """An open curve through points."""
    from benchmarks.synthetic.anatomy import spline

    return spline(points, closed=False, steps=4)


def _paint_eyes(canvas: _Canvas, face: Face) -> None:
    """Sclera, iris, pupil and glint between the lids; lashes on top."""
    who = face.who
    skin, colour = skin_colour(who), eye_colour(who)
    lash = mix(skin, (25, 14, 12), 0.88)
    size = who.eye_size * (1 + 0.22 * who.child)
    for side in (-1, 1):
        one = eye(face, side)
        gap = one.lower - one.upper
        canvas.fill(one.opening(), (240, 237, 233))
        canvas.fill(one.disc(0.112 * size), mix(colour, (0, 0, 0), 0.55))
        canvas.fill(one.disc(0.092 * size), colour)
        canvas.fill(one.disc(0.046 * size), (14, 10, 10))
        canvas.fill(one.band(one.upper, one.upper + 0.24 * gap), mix(colour, (30, 20, 20), 0.75) if False else (0, 0, 0)) if False else None
        canvas.fill(one.disc(0.022 * size, -0.035, -0.04), (255, 255, 255))
        rim = np.interp(one.T, [-1, -0.6, 0.5, 1], [0.008, 0.017, 0.026, 0.020])
        canvas.fill(one.band(one.upper - rim, one.upper + 0.6 * rim), lash)
        canvas.fill(one.band(one.lower - 0.004, one.lower + 0.010), mix(skin, (60, 20, 20), 0.5))


def _paint_brows(canvas: _Canvas, face: Face) -> None:
    colour = mix(mix(hair_colour(face.who), (20, 14, 10), 0.45), skin_colour(face.who), 0.12)
    for side in (-1, 1):
        canvas.fill(brow(face, side), colour)


def _paint_mouth(canvas: _Canvas, face: Face) -> None:
    """The opening with teeth and tongue, then the lips round it."""
    a, lips = face.a, mouth(face)
    colour = mix(lip_colour(face.who), skin_colour(face.who), 0.35 * a["lip_press"])
    t = lips.T
    canvas.fill(lips.band(lips.top, lips.bottom), mix(colour, (60, 0, 10), 0.12))
    gap = lips.inner_bottom - lips.inner_top
    if gap.max() > 0.02:
        canvas.fill(lips.band(lips.inner_top, lips.inner_bottom), (46, 12, 14))
        if a["jaw_drop"] > 0.3:
            rise = np.clip(0.4 - t**2, 0, None) ** 0.5 * 0.55
            canvas.fill(lips.band(lips.inner_bottom - rise * gap, lips.inner_bottom, 0.9), (150, 62, 66))
        bare = max(a["lip_corner_pull"], a["lip_stretch"], a["nose_wrinkle"])
        upper = np.minimum(gap, (0.05 + 0.10 * bare) * (1 - t**4))
        canvas.fill(lips.band(lips.inner_top, lips.inner_top + upper, 0.94), (242, 238, 228))
        low_teeth = 0.10 * max(a["lip_stretch"], 0.8 * a["nose_wrinkle"]) * (1 - a["lip_corner_pull"])
        if low_teeth > 0.03:
            lower = np.minimum(gap - upper, low_teeth * (1 - t**4))
            canvas.fill(lips.band(lips.inner_bottom - lower, lips.inner_bottom, 0.92), (226, 220, 208))
            seam = lips.inner_top + np.minimum(upper, gap)
            canvas.fill(lips.band(seam - 0.006, seam + 0.006, 0.9), (120, 90, 86))
    bottom_lip = np.concatenate([np.stack([lips.x, lips.inner_bottom], 1), np.stack([lips.x, lips.bottom], 1)[::-1]])
    canvas.fill(bottom_lip, mix(colour, (255, 225, 215), 0.10))
    canvas.fill(lips.band(lips.top, lips.inner_top), mix(colour, (70, 10, 20), 0.16))
    line = np.stack([lips.x * 1.03, 0.5 * (lips.inner_top + lips.inner_bottom)], axis=1)
    if gap.max() < 0.05:
        canvas.fill(tapered(line, 0.016 * (1 - t**6) + 0.005), mix(colour, (40, 5, 10), 0.75))


def _paint_hair(canvas: _Canvas, face: Face) -> None:
    """Hair over skull and brow, with a sheen."""
    outline = hair.front(face)
    if outline is None:
        return
    colour = hair_colour(face.who)
    canvas.fill(outline, colour)
    lift = -1.16 - 0.5 * (hair.style(face) == "curly") * 0.2
    x = 0.4 * canvas.scene.light_x
    sheen = crease([(x - 0.5, lift + 0.1), (x, lift), (x + 0.5, lift + 0.1)], 0.05)
    canvas.fill(sheen, mix(colour, (255, 240, 220), 0.10 + 0.12 * canvas.scene.light))


def _paint_occlusion(canvas: _Canvas, face: Face, scene: Scene) -> None:
    if scene.occlusion == "glasses":
        frame = (30, 26, 28)
        for side in (-1, 1):
            one = eye(face, side)
            ring = ellipse(one.x + side * 0.02, one.y + 0.03, 0.31, 0.25)
            pixels = np.round((canvas.project(ring, 0.08) - 0.5) * (1 << _SUB)).astype(np.int32)
            cv2.polylines(canvas.pixels, [pixels], True, frame, max(1, canvas.side // 72), cv2.LINE_AA, _SUB)
            canvas.fill(crease([(side * 0.72, one.y - 0.02), (side * 1.0, one.y - 0.06)], 0.025), frame)
        canvas.fill(crease([(-0.13, -0.12), (0, -0.16), (0.13, -0.12)], 0.03), frame, 0.15)
    elif scene.occlusion == "bar":
        s = scene.side
        canvas.fill(np.array([(s * 1.8, -1.6), (s * 0.62, -1.6), (s * 0.50, 1.9), (s * 1.8, 1.9)]), (44, 44, 48))
    elif scene.occlusion == "hand":
        skin, s = skin_colour(face.who), scene.side
        shadow = mix(skin, (50, 15, 10), 0.35)
        canvas.fill(ellipse(s * 1.0, 1.3, 0.36, 0.5, s * 0.3), mix(skin, (50, 15, 10), 0.12))
        for k in range(4):
            x, y = s * (0.70 + 0.14 * k), 0.72 - 0.10 * k
            canvas.fill(ellipse(x, y, 0.095, 0.40, s * 0.12), shadow)
            canvas.fill(ellipse(x + s * 0.012, y, 0.08, 0.385, s * 0.12), mix(skin, (255, 235, 220), 0.08))


def _photograph(pixels: Image, scene: Scene, size: int, gray: bool) -> Image:
    """Bring the canvas down to the picture's size, with exposure, blur and noise."""
    if gray:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    picture = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA)
    if scene.blur * size > 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), scene.blur * size)
    if scene.noise == 0 and scene.exposure == 1:
        return picture
    grain = np.random.default_rng(scene.seed).standard_normal((size, size), dtype=np.float32) * np.float32(scene.noise)
    if not gray:
        grain = cv2.merge([grain, grain, grain])
    return cv2.addWeighted(picture, scene.exposure, grain, 1.0, 0.0, dtype=cv2.CV_8U)
