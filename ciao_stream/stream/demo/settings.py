"""How the demonstration is played, and who is in it."""

from __future__ import annotations

from dataclasses import dataclass

from ciao_stream.exceptions import CiaoError

TASK = "robot"
"""The task whose frames come all the time, and the scene that has them."""

OLD = "anna"
"""The task, and the scene, that ends with the first person."""


@dataclass(frozen=True)
class DemoSettings:
    """How the demonstration is played.

    Args:
        frames: Frames of the robot's camera, >= 8 and even; the person changes after half of them.
        window: Answers over which rolling accuracy is had, from 1 to half of ``frames``.
        held: Faces of each person that are never streamed, >= 1.
        seed: Of the pictures and of the learner, >= 0.

    Raises:
        CiaoError: A value is out of range.
    """

    frames: int = 1400
    window: int = 100
    held: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if self.frames < 8 or self.frames % 2:
            raise CiaoError(f"frames: expected an even number of at least 8 but got {self.frames}")
        if not 1 <= self.window <= self.half:
            raise CiaoError(f"window: expected 1 to {self.half}, half of the frames, but got {self.window}")
        if self.held < 1 or self.seed < 0:
            raise CiaoError(f"expected 1 held face or more and a seed >= 0 but got {self.held} and {self.seed}")

    @property
    def half(self) -> int:
        """Number of the first frame after the change."""
        return self.frames // 2
