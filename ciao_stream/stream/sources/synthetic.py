"""A synthetic robot camera with labels: drawn faces of one person, or of two in turn."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from dataclasses import dataclass

from benchmarks.synthetic.robot_camera import ACTS, LABELS, Take
from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.faces.dataset import Framing
from ciao_stream.faces.task import TaskSpec
from ciao_stream.stream.sources import Skipped, SourceFrame, Tell

FORM = "synthetic:robot[,frames=N][,seed=N]"

SCENES: dict[str, tuple[str, ...]] = {"robot": ("anna", "ben"), **{person: (person,) for person in ACTS}}
"""The people of each scene, each for an equal part of the frames. The task has the name of the scene."""

FRAMES = 1400
"""Default number of frames in a scene."""


@dataclass(frozen=True)
class SyntheticCamera:
    """Frames of a scene, a :class:`~ciao_stream.stream.sources.Source`.

    Args:
        scene: One of :data:`SCENES`.
        takes: What each person does, in order.
    """

    scene: str
    takes: tuple[Take, ...]
    framing: Framing = "face"
    place = "synthetic-camera"

    @property
    def title(self) -> str:
        """``synthetic`` and the scene."""
        return f"synthetic-{self.scene}"

    @property
    def spec(self) -> TaskSpec:
        """The scene's task."""
        return TaskSpec(self.scene, "categorical", LABELS)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the takes' fingerprints."""
        return hashlib.sha256("/".join(take.fingerprint for take in self.takes).encode()).hexdigest()

    @property
    def count(self) -> int:
        """Number of frames."""
        return sum(map(len, self.takes))

    def frames(self, _: Tell) -> Generator[SourceFrame | Skipped, None, None]:
        """Draw the frames."""
        number = 0
        for take in self.takes:
            for index, target in enumerate(take.targets().tolist()):
                yield SourceFrame(number, take.read(index), LABELS[target], person=take.person)
                number += 1


def open_source(text: str) -> SyntheticCamera:
    """Return a scene; nothing is drawn.

    Args:
        text: ``SCENE``, optionally followed by ``,frames=N`` and ``,seed=N``.

    Raises:
        UnknownNameError: There is no such scene or setting.
        CiaoError: A number cannot be read, or there are fewer frames than people.

    >>> open_source("robot,frames=40,seed=1").count
    40
    """
    scene, *settings = (part.strip() for part in text.split(","))
    if scene not in SCENES:
        raise UnknownNameError("synthetic scene", scene, SCENES)
    numbers = {"frames": FRAMES, "seed": 0}
    for setting in settings:
        name, _, number = setting.partition("=")
        if name not in numbers:
            raise UnknownNameError("setting of a synthetic scene", name, numbers)
        if not number.isdecimal():
            raise CiaoError(f"source synthetic:{text}: expected {name}=N, a whole number, but got {setting!r}")
        numbers[name] = int(number)
    people, frames = SCENES[scene], numbers["frames"]
    if frames < len(people):
        raise CiaoError(f"source synthetic:{text}: expected at least {len(people)} frames, one per person")
    ends = [frames * number // len(people) for number in range(len(people) + 1)]
    takes = (Take(who, end - at, numbers["seed"]) for who, at, end in zip(people, ends[:-1], ends[1:], strict=True))
    return SyntheticCamera(scene, tuple(takes))
