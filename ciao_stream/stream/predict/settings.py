"""How a predictor answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ciao_stream.runtime.options import option, validate


@dataclass(frozen=True)
class PredictSettings:
    """How a predictor answers.

    Args:
        batch: Most waiting frames that are encoded together. A predictor never waits for a batch to fill.
        smooth: Smooth predictions for one producer and person over time, with this time constant in frames.
        abstain: Answer "" where the confidence is below this value.
        calibrate: Calibrate confidence on frames that carry their label. One temperature per world is fitted on the
            newest of them; predictions of a version that had learned a frame do not count, where the version shows it.
        names: Names of labels: of the ``task``, or as in hri_msgs/Expression (``ros4hri``).
        choose: Let one world answer for each face, whatever task the frame names: the one whose faces look most like
            it (see :mod:`ciao_stream.worlds.choice`). With ``smooth``, scores are smoothed for one producer and camera.
            None: every world answers.
        until_idle: End after so many seconds without an entry.
        max_frames: End after so many frames.

    Raises:
        CiaoError: A value is out of range.
    """

    batch: int = option(8, least=1, most=4096)
    smooth: float | None = option(None, above=0, metavar="N")
    abstain: float | None = option(None, least=0, most=1, metavar="P")
    calibrate: bool = option(False, switch=True)
    names: Literal["task", "ros4hri"] = "task"
    choose: Literal["prototype"] | None = option(None, const="prototype")
    until_idle: float | None = option(None, least=0, metavar="S")
    max_frames: int | None = option(None, least=1)

    def __post_init__(self) -> None:
        validate(self)
