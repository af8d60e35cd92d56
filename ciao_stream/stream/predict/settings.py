"""How a predictor makes predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ciao_stream.runtime.options import option, validate


@dataclass(frozen=True)
class PredictSettings:
    """How a predictor makes predictions.

    Args:
        batch: Maximum number of waiting frames that are encoded together. A predictor never waits for a batch to fill.
        smooth: Smooth the predictions for each producer and person over time, with this time constant in frames.
        abstain: Predict "" where the confidence is below this value.
        calibrate: Calibrate the confidence on frames that carry their label. One temperature per world is fitted on the
            newest of them; predictions of a version that had learned a frame do not count, where the version shows it.
        names: Label names: those of the ``task``, or of hri_msgs/Expression (``ros4hri``).
        choose: Use one world for each face, whatever task the frame names: the one whose faces look most like it. See
            :mod:`ciao_stream.worlds.choice`. With ``smooth``, scores are smoothed for one producer and camera. None
            uses all worlds.
        until_idle: Stop after this many seconds without an entry.
        max_frames: Stop after this many frames.

    Raises:
        CiaoError: A value is out of range.
    """

    batch: int = option(8, least=1, most=4096)
    smooth: float | None = option(None, above=0)
    abstain: float | None = option(None, least=0, most=1)
    calibrate: bool = option(False, switch=True)
    names: Literal["task", "ros4hri"] = "task"
    choose: Literal["prototype"] | None = option(None, const="prototype")
    until_idle: float | None = option(None, least=0)
    max_frames: int | None = option(None, least=1)

    def __post_init__(self) -> None:
        validate(self)
