"""A drawn robot camera: a person in front of it, in some light, with one expression after another.

No person is real. Faces are labelled as in the synthetic world :data:`READING`, with its annotation errors.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from benchmarks.synthetic.action_units import draw_actions
from benchmarks.synthetic.anatomy import Identity
from benchmarks.synthetic.draws import uniform
from benchmarks.synthetic.lighting import Lighting, relight
from benchmarks.synthetic.readings import SPECS
from benchmarks.synthetic.scene import Scene
from benchmarks.synthetic.worlds import RENDERER_VERSION, annotate
from ciao_stream.exceptions import CiaoError, DataError, UnknownNameError
from ciao_stream.faces.dataset import Image

READING = "affectnet"
"""The synthetic world that labels the faces."""

LABELS = SPECS[READING].labels
"""The classes."""

SIDE = 64
"""Height and width of an image in pixels."""

PACE = 25
"""Frames from one pose of the head to the next."""

RANGES: dict[str, tuple[float, float]] = {
    "yaw": (-9, 9), "pitch": (-5, 5), "roll": (-5, 5), "x": (-0.03, 0.03), "y": (-0.02, 0.02), "scale": (0.97, 1.06),
}  # fmt: skip
"""Range of the head's pose, by field of :class:`~benchmarks.synthetic.scene.Scene`."""

VERSION = 1
"""Raise it with any change to an image."""

Use = Literal["streamed", "held"]
"""Frames to be published, and held-out ones of the same person in the same light."""


@dataclass(frozen=True)
class Act:
    """A person in front of the camera.

    Args:
        person: Name.
        room: Description of the light.
        who: The face.
        scene: The scene, except for the pose.
        lighting: The light of the room.
    """

    person: str
    room: str
    who: Identity
    scene: Scene
    lighting: Lighting


ACTS: dict[str, Act] = {
    act.person: act
    for act in (
        Act(
            "anna", "bright room",
            Identity(width=0.95, jaw=0.2, eye_size=1.05, brow_thickness=0.8, lip_fullness=1.1, skin=0.35,
                     hair_tone=0.6, hair_style=0.62, iris=0.7),
            Scene(light=0.25, light_x=-0.2, light_y=-0.7, background=0.75, hue=0.6),
            Lighting(brightness=1.02, noise=2.0),
        ),
        Act(
            "ben", "dim side light",
            Identity(width=1.05, length=1.05, jaw=0.9, eye_spacing=1.05, eye_size=0.9, brow_thickness=1.3,
                     nose_width=1.2, mouth_width=0.95, lip_fullness=0.8, skin=0.4, hair_tone=0.1, hair_style=0.2,
                     iris=0.1, age=0.6, beard=0.8),
            Scene(light=0.8, light_x=0.9, light_y=-0.2, background=0.3, hue=0.1, occlusion="glasses"),
            Lighting(brightness=0.65, side=0.6, cast=(1.0, 0.85, 0.65), noise=6.0),
        ),
    )
}  # fmt: skip
"""The people, by name."""


@dataclass(frozen=True)
class Take:
    """Images of one act, an :class:`~ciao_stream.faces.dataset.ImageSource`; each is drawn when it is read.

    Args:
        person: One of :data:`ACTS`.
        count: Number of images, >= 1; image i does not depend on it.
        seed: Selects the faces, >= 0.
        use: Purpose of the images.

    Raises:
        UnknownNameError: There is no person of that name.
        CiaoError: A number is out of range.
    """

    person: str
    count: int
    seed: int = 0
    use: Use = "streamed"
    _key: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.person not in ACTS:
            raise UnknownNameError("synthetic person", self.person, ACTS)
        if self.count < 1 or self.seed < 0:
            raise CiaoError(f"synthetic {self.person}: expected 1 frame or more and a seed >= 0 but got {self!r}")
        object.__setattr__(self, "_key", f"robot camera/{self.seed}/{self.person}/{self.use}")

    @property
    def fingerprint(self) -> str:
        """Hex digest of everything that affects images and labels."""
        return hashlib.sha256(f"{VERSION}/{RENDERER_VERSION}/{ACTS[self.person]!r}/{self!r}".encode()).hexdigest()

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        """Return the name of an image."""
        return f"synthetic {self.person}, {self.use}, frame {index}"

    def targets(self) -> npt.NDArray[np.int64]:
        """Return the class of each image, int64 (count,)."""
        rows = np.arange(self.count)
        return annotate(READING, draw_actions(f"{self._key}/events", rows), f"{self._key}/annotators", rows).astype(
            np.int64
        )

    def read(self, index: int) -> Image:
        """Draw an image, uint8 (SIDE, SIDE, 3), RGB.

        Raises:
            DataError: There is no such image.
        """
        from benchmarks.synthetic.renderer import render

        if not 0 <= index < self.count:
            raise DataError(f"synthetic {self.person}: no frame {index} of {self.count}")
        act = ACTS[self.person]
        aus = draw_actions(f"{self._key}/events", [index])[0]
        image = render(act.who, aus, replace(act.scene, **self._pose(index)), SIDE)
        return relight(image, act.lighting, seed=int(uniform(f"{self._key}/noise", [index], 1)[0, 0] * 2**32))

    def _pose(self, index: int) -> dict[str, Any]:
        """The pose of the head, which moves smoothly from one pose to the next."""
        leg, step = divmod(index, PACE)
        here, there = uniform(f"{self._key}/pose", [leg, leg + 1], len(RANGES))
        share = (1 - np.cos(np.pi * step / PACE)) / 2
        place = here + share * (there - here)
        return {
            name: low + at * (high - low)
            for at, (name, (low, high)) in zip(place.tolist(), RANGES.items(), strict=True)
        }
