"""People and cameras of each world: ranges that overlap but differ between worlds."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np

from benchmarks.synthetic.anatomy import Identity
from benchmarks.synthetic.draws import uniform
from benchmarks.synthetic.hair import BEARDED, style
from benchmarks.synthetic.scene import OCCLUSIONS, Scene
from ciao_stream.faces.dataset import SPLITS, Split

Range = tuple[float, float]

_WHO: dict[str, Range] = {
    "width": (0.9, 1.06), "length": (0.95, 1.06), "jaw": (0.0, 1.0), "eye_spacing": (0.92, 1.08),
    "eye_size": (0.88, 1.14), "eye_tilt": (0.0, 1.0), "brow_thickness": (0.6, 1.35), "nose_width": (0.8, 1.25),
    "nose_length": (0.9, 1.12), "mouth_width": (0.88, 1.15), "lip_fullness": (0.7, 1.35), "skin": (0.0, 1.0),
    "hair_tone": (0.0, 1.0), "hair_style": (0.0, 1.0), "iris": (0.0, 1.0), "age": (0.0, 1.0), "child": (0.0, 0.0),
    "beard": (-1.6, 1.0),
}  # fmt: skip
_HOW: dict[str, Range] = {
    "yaw": (-10, 10), "pitch": (-6, 6), "roll": (-5, 5), "x": (-0.02, 0.02), "y": (-0.02, 0.02), "scale": (0.96, 1.06),
    "light": (0.1, 0.8), "light_x": (-1.0, 1.0), "light_y": (-1.0, 0.2), "exposure": (0.82, 1.12),
    "background": (0.15, 0.95), "hue": (0.0, 1.0), "blur": (0.0, 0.008), "noise": (1.0, 5.0),
}  # fmt: skip


@dataclass(frozen=True)
class Population:
    """The people and cameras of a world; draws are uniform in the ranges, which default to common ones.

    Args:
        name: Name of the images; worlds of one population show the same images.
        gray: Whether its images are gray.
        people: Number of identities per split.
        shared_cast: Whether all splits have the same people; else no person is in two splits.
        frames: Images per event: 1, or the length of a clip.
        who: Range per field of :class:`~benchmarks.synthetic.anatomy.Identity`.
        how: Range per field of :class:`~benchmarks.synthetic.scene.Scene`.
        hidden: Share of faces with glasses, a hand and a bar.
    """

    name: str
    gray: bool
    people: dict[Split, int]
    shared_cast: bool = False
    frames: int = 1
    who: dict[str, Range] = field(default_factory=dict)
    how: dict[str, Range] = field(default_factory=dict)
    hidden: tuple[float, float, float] = (0.12, 0.03, 0.03)


_MANY: dict[Split, int] = {"train": 4000, "validation": 500, "test": 1000}

POPULATIONS: dict[str, Population] = {
    "affectnet": Population("affectnet", gray=False, people=_MANY),
    "fer": Population(
        "fer", gray=True, people=_MANY,
        who={"age": (0.0, 0.9)},
        how={"yaw": (-13, 13), "pitch": (-7, 7), "roll": (-7, 7), "scale": (1.0, 1.12), "blur": (0.004, 0.012)},
    ),
    "jaffe": Population(
        "jaffe", gray=True, people=dict.fromkeys(SPLITS, 10), shared_cast=True,
        who={"hair_tone": (0.0, 0.3), "skin": (0.05, 0.4), "age": (0.0, 0.4), "beard": (-1.0, 0.0),
             "hair_style": (0.3, 1.0)},
        how={"yaw": (-4, 4), "pitch": (-4, 4), "roll": (-3, 3), "light": (0.1, 0.4), "background": (0.3, 0.6)},
        hidden=(0.0, 0.0, 0.0),
    ),
    "emoreact": Population(
        "emoreact", gray=False, people={"train": 120, "validation": 30, "test": 60}, frames=4,
        who={"child": (0.35, 1.0), "age": (0.0, 0.05), "beard": (-1.0, 0.0), "hair_tone": (0.0, 0.8)},
        how={"scale": (0.92, 1.04), "light": (0.1, 0.6)},
        hidden=(0.08, 0.04, 0.0),
    ),
}  # fmt: skip
"""Populations by name. As in the data sets, FER+ has FER's images and affectnet-va AffectNet's."""


def draw_person(population: Population, split: Split, seed: int, event: int) -> Identity:
    """Return the identity in event ``event`` (an image or a clip) of a split."""
    stream = f"{population.name}/{seed}"
    chosen = uniform(f"{stream}/{split}/cast", [event], 1)[0, 0]
    person = int(chosen * population.people[split])
    names = [f.name for f in fields(Identity)]
    cast = "people" if population.shared_cast else f"{split}/people"
    numbers = uniform(f"{stream}/{cast}", [person], len(names))[0]
    who = _within(_WHO | population.who, names, numbers)
    drawn = Identity(**who)
    return replace(drawn, beard=max(0.0, drawn.beard) if style(drawn) in BEARDED else 0.0)


def draw_scene(population: Population, split: Split, seed: int, event: int, frame: int = 0) -> Scene:
    """Return the scene of frame ``frame`` of event ``event``; within a clip the head moves a little."""
    stream = f"{population.name}/{seed}/{split}"
    names = list(_HOW)
    numbers = uniform(f"{stream}/scene", [event], len(names) + 3)[0]
    values = _within(_HOW | population.how, names, numbers)
    occlusion = OCCLUSIONS[1:] + OCCLUSIONS[:1]
    at = int(np.searchsorted(np.cumsum(population.hidden), numbers[-1], side="right"))
    scene = Scene(
        **values,
        occlusion=occlusion[at],
        side=1 if numbers[-2] < 0.5 else -1,
        seed=int(numbers[-3] * 2**32) + frame,
    )
    if not frame:
        return scene
    yaw, pitch, roll = (uniform(f"{stream}/move", [event * population.frames + frame], 3)[0] * 6 - 3).tolist()
    return replace(scene, yaw=scene.yaw + yaw, pitch=scene.pitch + pitch, roll=scene.roll + roll)


def _within(ranges: dict[str, Range], names: list[str], numbers: np.ndarray) -> dict[str, float]:
    """Map numbers in [0, 1) into the range of each name."""
    return {
        name: ranges[name][0] + u * (ranges[name][1] - ranges[name][0])
        for name, u in zip(names, numbers.tolist(), strict=False)
    }
