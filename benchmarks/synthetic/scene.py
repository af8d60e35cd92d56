"""Camera, light and occlusion of a face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Occlusion = Literal["none", "glasses", "hand", "bar"]
OCCLUSIONS: tuple[Occlusion, ...] = get_args(Occlusion)


@dataclass(frozen=True)
class Scene:
    """Camera, light and occlusion of a face.

    Args:
        yaw: Degrees the head turns to the viewer's right.
        pitch: Degrees the head bows down.
        roll: Degrees the head tilts clockwise.
        x: Shift to the right, as a share of the image.
        y: Shift down, as a share of the image.
        scale: Size of the face; at 1 it is about two thirds as wide as the image.
        light: Strength of the directed light, 0 (none) to 1 (hard).
        light_x: Its direction: -1 left, 1 right.
        light_y: Its direction: -1 above, 1 below.
        exposure: Factor on the brightness.
        background: Brightness of the wall behind, 0 to 1.
        hue: Tint of wall and clothes, 0 to 1 around the colour circle.
        blur: Standard deviation of the blur, as a share of the image.
        noise: Standard deviation of the sensor's noise, in grey levels of 255.
        occlusion: What covers part of the face: ``none``, ``glasses``, a ``hand`` on the cheek or a dark ``bar``.
        side: Side of a hand or bar, -1 or 1.
        seed: Seeds the noise, zero or more.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0
    light: float = 0.4
    light_x: float = -0.5
    light_y: float = -0.6
    exposure: float = 1.0
    background: float = 0.6
    hue: float = 0.6
    blur: float = 0.0
    noise: float = 0.0
    occlusion: Occlusion = "none"
    side: int = 1
    seed: int = 0
