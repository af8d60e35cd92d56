"""Where and how a face is photographed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Occlusion = Literal["none", "glasses", "hand", "bar"]
OCCLUSIONS: tuple[Occlusion, ...] = get_args(Occlusion)


@dataclass(frozen=True)
class Scene:
    """Camera, light and what stands between them and the face.

    Args:
        yaw: Degrees the head turns to the viewer's right.
        pitch: Degrees the head bows down.
        roll: Degrees the head tilts clockwise.
        x: Shift to the right, as a share of the picture.
        y: Shift down, as a share of the picture.
        scale: Size of the face; at 1 it is about two thirds of the picture wide.
        light: Strength of the directed light, 0 (none) to 1 (hard).
        light_x: Where it comes from: -1 left, 1 right.
        light_y: Where it comes from: -1 above, 1 below.
        exposure: Factor on the brightness.
        background: Brightness of the wall behind, 0 to 1.
        hue: Tint of wall and clothes, 0 to 1 round the colour circle.
        blur: Standard deviation of the blur, as a share of the picture.
        noise: Standard deviation of the sensor's noise, in grey levels of 255.
        occlusion: What hides part of the face: ``none``, ``glasses``, a ``hand`` on the cheek or a dark ``bar``.
        side: -1 or 1: where a hand or bar comes from.
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
