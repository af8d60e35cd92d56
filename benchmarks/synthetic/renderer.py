"""Draws a face: flat colours in painter's order, then soft light and folds of the skin, then the camera."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.synthetic.action_units import Actions
from benchmarks.synthetic.anatomy import Face, Identity, Outline, head
from benchmarks.synthetic.paint import Shape, over_light, under_light
from benchmarks.synthetic.palette import wall_colour
from benchmarks.synthetic.relief import Patch, folds, soft_light
from benchmarks.synthetic.scene import Scene
from ciao_stream.faces.dataset import Image

Plane = npt.NDArray[np.float32]

_SUB = 4
"""Fractional bits of OpenCV's fixed-point coordinates."""

_VIEW = 1.42
"""Face units from the middle of the image to its edge."""


def render(who: Identity, aus: Actions, scene: Scene, size: int = 96, gray: bool = False) -> Image:
    """Draw one face. The same arguments give the same image.

    Args:
        who: The person.
        aus: What the face does, float (len(AUS),) in ``[0, 1]``.
        scene: Camera, light, occlusion.
        size: Height and width in pixels, 1 or more.
        gray: Whether the image has one channel.

    Returns:
        uint8, (size, size, 3) in RGB order, or (size, size) if ``gray``.
    """
    face = Face.of(who, aus)
    camera = _Camera(scene)
    side = size * (2 if size >= 56 else 3 if size >= 40 else 4)
    canvas = _wall(scene, side)
    _fill(canvas, camera, under_light(face, scene))
    light = _light(face, camera, side)
    canvas = cv2.multiply(canvas, cv2.merge([light, light, light]), dtype=cv2.CV_8U)
    _fill(canvas, camera, over_light(face, scene))
    return _photograph(canvas, scene, size, gray)


class _Camera:
    """The projection of face units onto the image, whose side is 1."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.zoom = scene.scale / (2 * _VIEW)
        yaw, pitch, roll = np.radians([scene.yaw, scene.pitch, scene.roll])
        turn = self.zoom * np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
        self._flat = np.diag([np.cos(yaw), np.cos(pitch)]) @ turn
        self._deep = np.array([np.sin(yaw), np.sin(pitch)]) @ turn
        self._middle = np.array([0.5 + scene.x, 0.5 + scene.y])

    def project(self, points: Outline, relief: float | npt.NDArray[np.float64] = 0.0) -> Outline:
        """Map face units (N, 2) on the ellipsoid of the head, raised by ``relief``, to the image (N, 2)."""
        bulge = 1 - (points * points) @ np.array([1.02**-2, 1.45**-2])
        depth = 0.75 * np.sqrt(np.maximum(bulge, 0)) + (relief - 0.3)
        pixels: Outline = points @ self._flat + depth[:, None] * self._deep + self._middle
        return pixels


def _polygons(camera: _Camera, shapes: Sequence[Shape] | Sequence[Patch], side: int) -> list[npt.NDArray[np.int32]]:
    """Project all outlines at once, to OpenCV's fixed-point pixels of a side x side image."""
    lengths = [len(shape.outline) for shape in shapes]
    relief = np.repeat([shape.relief for shape in shapes], lengths)
    points = camera.project(np.concatenate([shape.outline for shape in shapes]), relief)
    fixed = np.rint((points * side - 0.5) * (1 << _SUB)).astype(np.int32)
    ends = np.cumsum(lengths).tolist()
    return [fixed[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def _fill(canvas: Image, camera: _Camera, shapes: list[Shape]) -> None:
    """Fill the shapes in order, antialiased."""
    for shape, polygon in zip(shapes, _polygons(camera, shapes, len(canvas)), strict=True):
        cv2.fillPoly(canvas, [polygon], shape.colour, cv2.LINE_AA, _SUB)


def _wall(scene: Scene, side: int) -> Image:
    """A wall that darkens downwards, uint8 (side, side, 3)."""
    ramp = np.linspace(0, 1, side)[:, None]
    rows = np.array(wall_colour(scene, 1.06)) * (1 - ramp) + np.array(wall_colour(scene, 0.86)) * ramp
    wall: Image = cv2.resize(rows.astype(np.uint8)[:, None, :], (side, side), interpolation=cv2.INTER_NEAREST)
    return wall


def _light(face: Face, camera: _Camera, side: int) -> Plane:
    """The factor on the flat colours, float32 (side, side); 1 outside head and folds."""
    wide, narrow = soft_light(face, camera.scene)
    half, quarter = side // 2, side // 4
    soft = _ellipsoid(camera, quarter) * _smear(camera, wide, quarter, 0.030)
    light: Plane = cv2.resize(soft, (half, half), interpolation=cv2.INTER_LINEAR)
    outline = np.zeros((half, half), np.uint8)
    cv2.fillPoly(outline, _polygons(camera, [Patch(head(face, 0.03), 0)], half), 255, cv2.LINE_AA, _SUB)
    light = 1 + (light * _smear(camera, narrow, half, 0.011) - 1) * (outline * np.float32(1 / 255))
    creases = folds(face)
    lines = np.full((side, side), 255, np.uint8)
    for patch, polygon in zip(creases, _polygons(camera, creases, side), strict=True):
        cv2.fillPoly(lines, [polygon], 255 - patch.amount, cv2.LINE_AA, _SUB)
    lines = cv2.GaussianBlur(lines, (0, 0), 0.005 * side)
    light = cv2.resize(light, (side, side), interpolation=cv2.INTER_LINEAR)
    shaded: Plane = cv2.multiply(light, lines, scale=1 / 255, dtype=cv2.CV_32F)
    return shaded


def _ellipsoid(camera: _Camera, side: int) -> Plane:
    """Directed light on the ellipsoid of the head, float32 (side, side)."""
    scene = camera.scene
    x, y = camera.project(np.zeros((1, 2)))[0].astype(np.float32)
    u = ((_ticks(side) - x) / np.float32(1.05 * camera.zoom))[None, :]
    v = ((_ticks(side) - y) / np.float32(1.45 * camera.zoom))[:, None]
    depth = np.sqrt(np.maximum(np.float32(0.02), 1 - u * u - v * v))
    strength = np.float32(0.34 * scene.light)
    light: Plane = (
        np.float32(0.64) + strength * (u * np.float32(scene.light_x) + v * np.float32(scene.light_y))
        + np.float32(0.40) * depth
    )  # fmt: skip
    return light


@lru_cache(maxsize=8)
def _ticks(side: int) -> Plane:
    """Pixel centres from 0 to 1, float32 (side,)."""
    return (np.arange(side, dtype=np.float32) + np.float32(0.5)) / np.float32(side)


def _smear(camera: _Camera, patches: list[Patch], side: int, sigma: float) -> Plane:
    """Patches of light and shade with soft edges, float32 (side, side) about 1."""
    layer = np.full((side, side), 128, np.uint8)
    for patch, polygon in zip(patches, _polygons(camera, patches, side), strict=True):
        cv2.fillPoly(layer, [polygon], 128 + patch.amount, cv2.LINE_AA, _SUB)
    layer = cv2.GaussianBlur(layer, (0, 0), sigma * side * camera.scene.scale)
    smeared: Plane = layer * np.float32(1 / 128)
    return smeared


def _photograph(canvas: Image, scene: Scene, size: int, gray: bool) -> Image:
    """Reduce the canvas to the size of the image, with blur, exposure and noise."""
    if gray:
        canvas = cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY)
    image: Image = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    if scene.blur * size > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), scene.blur * size)
    if scene.noise == 0 and scene.exposure == 1:
        return image
    grain = np.random.default_rng(scene.seed).standard_normal((size, size), dtype=np.float32) * np.float32(scene.noise)
    if not gray:
        grain = cv2.merge([grain, grain, grain])
    grainy: Image = cv2.addWeighted(image, scene.exposure, grain, 1.0, 0.0, dtype=cv2.CV_8U)
    return grainy
