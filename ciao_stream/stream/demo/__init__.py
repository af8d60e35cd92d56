"""The streaming demo: an online learner, publishers and a predictor on a synthetic robot camera."""

from __future__ import annotations

from dataclasses import dataclass

from ciao_stream.runtime.options import option, validate

TASK = "robot"
"""The task with frames of both persons, and its scene."""

OLD = "anna"
"""The task whose labels end with the first person, and its scene."""


@dataclass(frozen=True)
class DemoSettings:
    """Settings of the demo.

    Args:
        frames: Frames of the robot's camera, an even number; the person changes after half of them.
        window: Number of recent predictions used for rolling accuracy, at most half of ``--frames``.
        held: Faces of each person that are never streamed, for testing.
        seed: Seed of the images and of the learner.

    Raises:
        CiaoError: Values are out of range; the one line lists all of them.
    """

    frames: int = option(1400, least=8)
    window: int = option(100, least=1)
    held: int = option(200, least=1)
    seed: int = option(0, least=0)

    def __post_init__(self) -> None:
        problems = [f"frames: expected an even number but got {self.frames}"] if self.frames % 2 else []
        if self.window > self.half:
            problems.append(f"window: expected at most {self.half}, half of the frames, but got {self.window}")
        validate(self, also=problems)

    @property
    def half(self) -> int:
        """Number of the first frame after the change."""
        return self.frames // 2
