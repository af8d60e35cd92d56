"""Drawn faces with a known location of the class evidence, for measuring explanations; no real data set has that.

Each face opens its mouth or not and raises its brows or not, independently. The tasks ``mouth`` and ``brows`` label
the same images by one of these.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from benchmarks.synthetic.action_units import Actions, actions
from benchmarks.synthetic.draws import uniform
from benchmarks.synthetic.populations import POPULATIONS, draw_person, draw_scene
from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.faces.dataset import FaceDataset, Image, Split, TaskData
from ciao_stream.faces.task import TaskSpec

Cue = Literal["mouth", "brows"]
CUES: dict[Cue, str] = {"mouth": "jaw_drop", "brows": "brow_raise"}
"""The part of the face with the evidence, and its action unit."""

_POPULATION = POPULATIONS["fer"]
_STRENGTH = (0.7, 1.0)
"""Range of an action unit that is present."""


@dataclass(frozen=True)
class CueFaces:
    """Images of one split, the same for every cue; an :class:`~ciao_stream.faces.dataset.ImageSource`.

    Args:
        split: Selects the people.
        count: Number of images.
        size: Height and width in pixels.
        seed: Selects people and faces.
    """

    split: Split
    count: int
    size: int
    seed: int

    @property
    def fingerprint(self) -> str:
        """Hex digest of everything that affects the images."""
        return hashlib.sha256(f"synthetic cues/1/{self!r}".encode()).hexdigest()

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        """Return the name of an image."""
        return f"synthetic cues, split {self.split!r}, image {index}"

    def read(self, index: int) -> Image:
        """Draw image ``index``: uint8, (size, size)."""
        from benchmarks.synthetic.renderer import render

        who = draw_person(_POPULATION, self.split, self.seed, index)
        scene = draw_scene(_POPULATION, self.split, self.seed, index)
        return render(who, self._actions(index), scene, self.size, gray=True)

    def answers(self, cue: Cue) -> npt.NDArray[np.int64]:
        """Return whether the action unit of a cue is present in each face, int64 (count,) of 0 and 1."""
        return (self._draws(np.arange(self.count))[:, [*CUES].index(cue)] < 0.5).astype(np.int64)

    def _actions(self, index: int) -> Actions:
        drawn = self._draws(np.array([index]))[0]
        low, high = _STRENGTH
        there = {au: low + 2 * (high - low) * draw for au, draw in zip(CUES.values(), drawn, strict=True) if draw < 0.5}
        return actions(**there)

    def _draws(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return uniform(f"cues/{self.seed}/{self.split}", rows, len(CUES))


def load_cue(cue: Cue, *, train: int = 200, validation: int = 20, test: int = 100, seed: int = 0) -> TaskData:
    """Return a task whose evidence is in one part of the face; no image is drawn yet.

    Args:
        cue: ``mouth`` or ``brows``.
        train: Training images.
        validation: Validation images.
        test: Test images.
        seed: Selects people and faces.

    Raises:
        UnknownNameError: There is no such cue.
        CiaoError: A count below 1.
    """
    if cue not in CUES:
        raise UnknownNameError("cue", cue, CUES)
    if min(train, validation, test) < 1:
        raise CiaoError(f"cue {cue!r}: expected at least 1 face in every split")
    spec = TaskSpec(cue, "categorical", ("no", "yes"))

    def split(name: Split, count: int) -> FaceDataset:
        images = CueFaces(name, count, 48, seed)
        rows = np.arange(count, dtype=np.int64)
        return FaceDataset(spec, name, images, rows, images.answers(cue), "synthetic", f"synthetic: the {cue}")

    parts = (split("train", train), split("validation", validation), split("test", test))
    return TaskData(*parts, protocol="drawn separately for each split")
