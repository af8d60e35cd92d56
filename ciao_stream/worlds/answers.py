"""From what a world puts out to what is said of a face: probabilities, smoothed over time, and an answer or none."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.task import TaskSpec

Values = npt.NDArray[np.float64]
"""One number per label, (n_out,)."""

Names = Literal["task", "ros4hri"]
"""How labels are called: as the task has them, or as ``hri_msgs/Expression`` has them where it has a name for them."""

ROS4HRI = {
    "happiness": "happy",
    "surprise": "surprised",
    "sadness": "sad",
    "anger": "angry",
    "disgust": "disgusted",
    "fear": "scared",
}
"""Names in ``hri_msgs/Expression`` that differ from ours; ``neutral`` does not, and for contempt it has none."""

ABSTAINED = ""
"""The answer where the world is not sure enough."""

REMEMBERED = 1024
"""Most faces, one of each producer and person, that are smoothed at a time."""


@dataclass(frozen=True)
class Answer:
    """What one world says of one face.

    Args:
        values: By label: probabilities, or the values themselves (dimensional).
        answer: The most probable label; the labels that are more probable than not (multilabel); the values
            (dimensional); or :data:`ABSTAINED`.
        confidence: The answer's probability; for multilabel that of its least certain label; None for dimensional,
            where nothing tells it.
    """

    values: dict[str, float]
    answer: str | list[str] | dict[str, float]
    confidence: float | None


def probabilities(spec: TaskSpec, outputs: npt.NDArray[np.float32], temperature: float = 1.0) -> Values:
    """Return what a world's outputs mean: softmax, sigmoid (multilabel), or the outputs as they are (dimensional).

    Args:
        spec: The task.
        outputs: float32 (n_out,).
        temperature: Divides logits; > 1 makes the world less certain, and never changes its answer.
    """
    raw = outputs.astype(np.float64)
    if spec.kind == "dimensional":
        return raw
    means: Values = expit(raw / temperature) if spec.kind == "multilabel" else softmax(raw / temperature)
    return means


def answer(spec: TaskSpec, values: Values, abstain: float | None = None, names: Names = "task") -> Answer:
    """Say what probabilities mean.

    Args:
        spec: The task.
        values: What :func:`probabilities` returned, perhaps smoothed.
        abstain: Confidence below which there is no answer; dimensional answers have none and always come.
        names: How labels are called.

    >>> answer(TaskSpec("fer", "categorical", ("anger", "fear")), np.array([0.25, 0.75]), names="ros4hri")
    Answer(values={'angry': 0.25, 'scared': 0.75}, answer='scared', confidence=0.75)
    """
    labels = [ROS4HRI.get(label, label) for label in spec.labels] if names == "ros4hri" else spec.labels
    named = {label: float(value) for label, value in zip(labels, values, strict=True)}
    if spec.kind == "dimensional":
        return Answer(named, dict(named), None)
    said: str | list[str]
    if spec.kind == "multilabel":
        confidence = min(max(value, 1 - value) for value in named.values())
        said = [label for label, value in named.items() if value > 0.5]
    else:
        confidence = max(named.values())
        said = labels[int(values.argmax())]
    return Answer(named, ABSTAINED if abstain is not None and confidence < abstain else said, confidence)


class Smoother:
    """Exponential smoothing: each face moves what was there by ``1 - exp(-1 / frames)`` of the difference.

    Args:
        frames: Time constant, > 0: after so many frames 63 % of a sudden change have come through.
    """

    def __init__(self, frames: float) -> None:
        if not 0 < frames < math.inf:
            raise CiaoError(f"smooth: expected a number of frames > 0 but got {frames}")
        self._share = -math.expm1(-1 / frames)
        self._state: OrderedDict[Hashable, dict[str, Values]] = OrderedDict()

    def __call__(self, whose: Hashable, world: str, values: Values) -> Values:
        """Take in the next values of somebody in a world, and return the smoothed ones.

        Args:
            whose: Who they are of; the first ones, and those after the world got new labels, stay as they are.
            world: Name of the world.
            values: float64 (n_out,).
        """
        of_one = self._state.setdefault(whose, {})
        self._state.move_to_end(whose)
        if len(self._state) > REMEMBERED:
            self._state.popitem(last=False)
        before = of_one.get(world)
        if before is not None and before.shape == values.shape:
            values = before + self._share * (values - before)
        of_one[world] = values
        return values
