"""The shape of a face: curves of each feature in face units, moved by action units.

Face units: x to the viewer's right and y down, the origin between nose and eyes; half a face is about 0.95 wide and
its chin lies at 1.2. Every function returns float64 (N, 2) outlines, ready to fill.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from benchmarks.synthetic.action_units import AUS, Actions

Outline = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Identity:
    """The shape and colours of a person. Sizes are factors about 1; other values are in ``[0, 1]``."""

    width: float = 1.0
    length: float = 1.0
    jaw: float = 0.4
    eye_spacing: float = 1.0
    eye_size: float = 1.0
    eye_tilt: float = 0.5
    brow_thickness: float = 1.0
    nose_width: float = 1.0
    nose_length: float = 1.0
    mouth_width: float = 1.0
    lip_fullness: float = 1.0
    skin: float = 0.25
    """0 the lightest tone, 1 the darkest."""
    hair_tone: float = 0.2
    """From black (0) through brown, auburn and blond to grey (1)."""
    hair_style: float = 0.3
    """Selects one of :data:`benchmarks.synthetic.hair.STYLES`, equal parts of [0, 1]."""
    iris: float = 0.3
    age: float = 0.2
    child: float = 0.0
    beard: float = 0.0
    """0 shaven, 1 a full beard."""


@dataclass(frozen=True)
class Face:
    """An identity with an expression; ``a`` maps the name of each action unit to its intensity."""

    who: Identity
    a: dict[str, float]

    @classmethod
    def of(cls, who: Identity, aus: Actions) -> Face:
        """Pair an identity with an AU vector, float (len(AUS),) in ``[0, 1]``."""
        return cls(who, dict(zip(AUS, aus.tolist(), strict=True)))

    @cached_property
    def eyes(self) -> tuple[Eye, Eye]:
        """The eye on the viewer's left, and on the right."""
        return eye(self, -1), eye(self, 1)

    @cached_property
    def mouth(self) -> Mouth:
        """Lips and opening."""
        return mouth(self)


def spline(control: npt.ArrayLike, closed: bool = True, steps: int = 6) -> Outline:
    """Draw a Catmull-Rom curve through (K, 2) control points, ``steps`` points to a segment."""
    points = np.asarray(control, dtype=np.float64)
    curve: Outline = _spline_basis(len(points), closed, steps) @ points
    return curve


@lru_cache(maxsize=64)
def _spline_basis(count: int, closed: bool, steps: int) -> npt.NDArray[np.float64]:
    """The matrix that turns control points into curve points."""
    t = np.arange(steps) / steps
    weights = 0.5 * np.stack(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2], axis=1
    )
    segments = count if closed else count - 1
    basis = np.zeros((segments * steps + (not closed), count))
    for segment in range(segments):
        for tap in range(4):
            at = segment + tap - 1
            at = at % count if closed else min(max(at, 0), count - 1)
            basis[segment * steps : (segment + 1) * steps, at] += weights[:, tap]
    if not closed:
        basis[-1, -1] = 1
    return basis


_ANGLES = np.linspace(0, 2 * np.pi, 20, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


def ellipse(x: float, y: float, rx: float, ry: float, turn: float = 0.0) -> Outline:
    """Outline of an ellipse, turned clockwise by ``turn`` radians."""
    points: Outline = _CIRCLE * np.array([rx, ry])
    if turn:
        c, s = np.cos(turn), np.sin(turn)
        points = points @ np.array([[c, s], [-s, c]])
    points += np.array([x, y])
    return points


def tapered(line: Outline, widths: npt.ArrayLike) -> Outline:
    """Outline of a stroke along a line (N, 2) with a half-width at each point (N,)."""
    padded = np.concatenate([2 * line[:1] - line[1:2], line, 2 * line[-1:] - line[-2:-1]])
    normal = (padded[2:] - padded[:-2])[:, ::-1] * (-1, 1)
    normal *= (np.asarray(widths) / (np.hypot(normal[:, 0], normal[:, 1]) + 1e-9))[:, None]
    return np.concatenate([line + normal, (line - normal)[::-1]])


def crease(control: npt.ArrayLike, width: float) -> Outline:
    """A fold of skin: a stroke through the control points that is thin at both ends."""
    line = spline(control, closed=False, steps=3)
    return tapered(line, width * _lens(len(line)) + 0.004)


@lru_cache(maxsize=16)
def _lens(count: int) -> npt.NDArray[np.float64]:
    """From 0 at the ends to 1 in the middle, float64 (count,)."""
    return 1 - np.linspace(-1, 1, count) ** 2


def chin(face: Face) -> float:
    """Height of the chin's lowest point; an open jaw lowers it."""
    return (1.2 - 0.06 * face.who.child) * face.who.length + 0.17 * face.a["jaw_drop"]


def head(face: Face, grow: float = 0.0) -> Outline:
    """Outline of the head without ears, starting at the crown; ``grow`` widens it on all sides."""
    who = face.who
    low, drop, baby = chin(face), 0.17 * face.a["jaw_drop"], who.child
    wide, jaw = who.width, who.jaw * (1 - 0.6 * baby)
    puff = 0.05 * baby + 0.03 * face.a["cheek_raise"]
    right = np.array(
        [
            (0.55, -1.14), (0.87 + 0.04 * baby, -0.68), (0.94 + 0.02 * baby, -0.15), (0.88 + puff, 0.38),
            (0.67 + 0.14 * jaw + puff, 0.80 + 0.4 * drop), (0.36 + 0.12 * jaw, low - 0.09),
        ]
    )  # fmt: skip
    right = (right + np.array([grow, 0])) * (wide, 1)
    left = right[::-1] * (-1, 1)
    return spline(np.concatenate([[(0, -1.27 - grow)], right, [(0, low + grow)], left]))


@dataclass(frozen=True)
class Eye:
    """One eye: its lids as heights over t in [-1, 1], from the inner corner to the outer."""

    side: int
    x: float
    y: float
    half: float
    upper: npt.NDArray[np.float64]
    lower: npt.NDArray[np.float64]

    T = np.linspace(-1, 1, 13)

    def at(self, t: npt.NDArray[np.float64], height: npt.NDArray[np.float64]) -> Outline:
        """Points of a curve given by its heights over t."""
        return np.stack([self.x + self.side * self.half * t, height], axis=1)

    def band(self, top: npt.NDArray[np.float64], bottom: npt.NDArray[np.float64]) -> Outline:
        """The area between two curves over :attr:`T`."""
        return np.concatenate([self.at(self.T, top), self.at(self.T, bottom)[::-1]])

    def opening(self) -> Outline:
        """Outline of the part of the eyeball between the lids."""
        return self.band(self.upper, self.lower)

    def disc(self, radius: float, x: float = 0.0, y: float = 0.0) -> Outline:
        """A disc on the eyeball, clipped by the lids."""
        points = ellipse(self.x + x, self.y - 0.015 + y, radius, radius)
        t = self.side * (points[:, 0] - self.x) / self.half
        points[:, 1] = np.clip(points[:, 1], np.interp(t, self.T, self.upper), np.interp(t, self.T, self.lower))
        return points


def eye(face: Face, side: int) -> Eye:
    """Shape the eye of one side (-1 or 1): raised lids widen it; tight lids, cheeks and a wrinkled nose narrow it."""
    who, a = face.who, face.a
    size = who.eye_size * (1 + 0.16 * who.child)
    x = side * 0.425 * who.eye_spacing * who.width
    y = -0.14 + 0.06 * who.child
    t = Eye.T
    tall = 1 + 0.75 * a["upper_lid_raise"] + 0.15 * a["brow_raise"]
    tall -= 0.45 * a["lid_tighten"] + 0.2 * a["cheek_raise"] + 0.3 * a["nose_wrinkle"] + 0.15 * a["brow_lower"]
    tall -= 0.2 * a["lip_corner_depress"] * (1 - a["upper_lid_raise"])
    deep = 1 + 0.3 * a["upper_lid_raise"]
    deep -= 0.65 * a["lid_tighten"] + 1.1 * a["cheek_raise"] + 0.6 * a["nose_wrinkle"] + 0.2 * a["lip_corner_pull"]
    up, down = size * 0.105 * max(tall, 0.3), size * 0.07 * max(deep, -0.3)
    slant = -(who.eye_tilt - 0.35) * 0.05 * t - 0.035 * a["inner_brow_raise"] * -t
    arch = (1 - t**2) ** 0.7
    skew = 1 - 0.16 * t * (1 - 1.6 * a["inner_brow_raise"]) + 0.25 * t * a["brow_lower"]
    return Eye(side, x, y, 0.215 * size, y + slant - up * arch * skew, y + slant + down * (1 - t**2) ** 0.8)


def brow(face: Face, side: int) -> Outline:
    """Outline of a brow: a stroke that is thick at its inner third and thin at the temple."""
    who, a = face.who, face.a
    u = np.linspace(0, 1, 10)
    inner = 0.185 - 0.06 * a["brow_lower"] - 0.02 * a["inner_brow_raise"]
    x = side * who.width * (inner + (0.73 - inner) * u) * (0.5 + 0.5 * who.eye_spacing)
    y = -0.45 + 0.02 * who.child - 0.075 * np.sin(np.pi * (0.12 + 0.8 * u)) + 0.06 * u**3
    y = y - a["brow_raise"] * (0.13 + 0.09 * np.sin(np.pi * u))
    y = y - a["inner_brow_raise"] * (0.2 * (1 - u) ** 1.3 - 0.07 * u)
    y = y + a["brow_lower"] * (0.19 * (1 - u) ** 1.2 + 0.02) + 0.05 * a["nose_wrinkle"] * (1 - u)
    width = who.brow_thickness * (0.046 - 0.012 * who.child) * np.interp(u, [0, 0.12, 0.45, 1], [0.55, 1, 0.85, 0.12])
    return tapered(np.stack([x, y], axis=1), width)


@dataclass(frozen=True)
class Mouth:
    """Four curves over t in [-1, 1], left to right: the lips' outer edges and the opening between them."""

    x: npt.NDArray[np.float64]
    top: npt.NDArray[np.float64]
    inner_top: npt.NDArray[np.float64]
    inner_bottom: npt.NDArray[np.float64]
    bottom: npt.NDArray[np.float64]

    T = np.linspace(-1, 1, 21)

    def band(self, top: npt.NDArray[np.float64], bottom: npt.NDArray[np.float64], shrink: float = 1.0) -> Outline:
        """The area between two curves over :attr:`T`, narrowed by the factor ``shrink``."""
        x = self.x if shrink == 1 else self.x.mean() + (self.x - self.x.mean()) * shrink
        return np.concatenate([np.stack([x, top], axis=1), np.stack([x, bottom], axis=1)[::-1]])


def mouth(face: Face) -> Mouth:
    """Shape the mouth; ``smirk`` moves the corner on the viewer's right."""
    who, a = face.who, face.a
    t = Mouth.T
    press, pull, jaw, stretch, nose = (
        a[name] for name in ("lip_press", "lip_corner_pull", "jaw_drop", "lip_stretch", "nose_wrinkle")
    )
    pulls = np.where(t > 0, np.minimum(pull + 1.15 * a["smirk"], 1.25), pull)
    down = a["lip_corner_depress"]
    half = 0.35 * who.mouth_width * (1 - 0.1 * who.child) * (0.6 + 0.4 * who.width)
    half *= 1 + 0.3 * stretch - 0.22 * jaw * (1 - pull) * (1 - stretch) - 0.08 * down - 0.06 * press
    x = half * t * (1 + 0.24 * pulls)
    middle = 0.70 * (0.5 + 0.5 * who.length) - 0.03 * who.child + 0.02 * jaw + 0.035 * pull - 0.03 * down
    ends = -0.19 * pulls * (1 - 0.25 * press) + 0.17 * down + 0.03 * stretch - 0.02 * nose
    line = middle + np.abs(t) ** 1.8 * ends
    free = 1 - 0.95 * press
    gap = free * (0.36 * jaw + 0.13 * stretch + 0.12 * max(0.0, nose - 0.35) + 0.08 * max(0.0, pull - 0.78))
    round_ = (1 - t**2) ** (0.62 - 0.1 * jaw)
    square = np.clip(1 - t**6, 0, 1) ** 0.8
    shape = round_ + (square - round_) * min(1.0, 0.8 * stretch + 0.5 * nose)
    lift = 0.06 * nose * (1 - t**2)
    inner_top = line - 0.22 * gap * shape - lift * free
    inner_bottom = line + 0.78 * gap * shape - lift * free
    full = who.lip_fullness * (1 - 0.78 * press)
    upper = 0.078 * full * (1 - 0.3 * pull) * (1 - 0.3 * nose) * (1 - 0.2 * stretch)
    lower = 0.108 * full * (1 - 0.22 * pull) * (1 - 0.25 * stretch) * (1 + 0.1 * down)
    bow = (1 - t**2) ** 0.75 * (
        1 - 0.28 * np.exp(-((t / 0.13) ** 2)) + 0.12 * np.exp(-(((np.abs(t) - 0.25) / 0.15) ** 2))
    )
    return Mouth(x, inner_top - upper * bow, inner_top, inner_bottom, inner_bottom + lower * (1 - t**2) ** 0.65)
