"""From a world's outputs to an answer about a face: probabilities, smoothed over time, and an answer or none."""

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
"""Names of labels: those of the task, or those of ``hri_msgs/Expression`` for labels that it knows."""

ROS4HRI = {
    "happiness": "happy",
    "surprise": "surprised",
    "sadness": "sad",
    "anger": "angry",
    "disgust": "disgusted",
    "fear": "scared",
}
"""Names in ``hri_msgs/Expression`` that differ from ours. ``neutral`` is the same; contempt has no name there."""

ABSTAINED = ""
"""The answer if the confidence is too low."""

REMEMBERED = 1024
"""The most smoothed series that a :class:`Smoother` keeps; the one used longest ago is dropped first."""


@dataclass(frozen=True)
class Answer:
    """The answer of one world about one face.

    Args:
        values: Probabilities in [0, 1] by label; for dimensional tasks the values in [-1, 1].
        answer: The most probable label; the labels with a probability above 0.5 (multilabel); the values
            (dimensional); or :data:`ABSTAINED`.
        confidence: Probability of the answer, in [0, 1]; for multilabel that of its least certain label; None for
            dimensional tasks.
    """

    values: dict[str, float]
    answer: str | list[str] | dict[str, float]
    confidence: float | None


def probabilities(spec: TaskSpec, outputs: npt.NDArray[np.float32], temperature: float = 1.0) -> Values:
    """Return the softmax of a world's outputs, their sigmoid (multilabel), or the outputs themselves (dimensional).

    Args:
        spec: The task.
        outputs: float32 (n_out,).
        temperature: Divides logits, > 0; values > 1 lower the confidence, and none changes the most probable label.

    Returns:
        float64 (n_out,).
    """
    raw = outputs.astype(np.float64)
    if spec.kind == "dimensional":
        return raw
    found: Values = expit(raw / temperature) if spec.kind == "multilabel" else softmax(raw / temperature)
    return found


def answer(spec: TaskSpec, values: Values, abstain: float | None = None, names: Names = "task") -> Answer:
    """Return the answer for the probabilities of one face.

    Args:
        spec: The task.
        values: As from :func:`probabilities`, possibly smoothed; float64 (n_out,).
        abstain: Confidence in [0, 1] below which the answer is :data:`ABSTAINED`; ignored for dimensional tasks.
        names: Names of the labels.

    >>> answer(TaskSpec("fer", "categorical", ("anger", "fear")), np.array([0.25, 0.75]), names="ros4hri")
    Answer(values={'angry': 0.25, 'scared': 0.75}, answer='scared', confidence=0.75)
    """
    labels = [ROS4HRI.get(label, label) for label in spec.labels] if names == "ros4hri" else spec.labels
    named = {label: float(value) for label, value in zip(labels, values, strict=True)}
    if spec.kind == "dimensional":
        return Answer(named, dict(named), None)
    chosen: str | list[str]
    if spec.kind == "multilabel":
        confidence = min(max(value, 1 - value) for value in named.values())
        chosen = [label for label, value in named.items() if value > 0.5]
    else:
        confidence = max(named.values())
        chosen = labels[int(values.argmax())]
    return Answer(named, ABSTAINED if abstain is not None and confidence < abstain else chosen, confidence)


class Smoother:
    """Exponential smoothing: ``s += (1 - exp(-1 / frames)) * (x - s)`` for each new face.

    Args:
        frames: Time constant in frames, > 0: after that many, ``s`` has covered 63 % of a step.

    Raises:
        CiaoError: It is out of range.
    """

    def __init__(self, frames: float) -> None:
        if not 0 < frames < math.inf:
            raise CiaoError(f"smooth: expected a number of frames > 0 but got {frames}")
        self._share = -math.expm1(-1 / frames)
        self._state: OrderedDict[Hashable, dict[str, Values]] = OrderedDict()

    def __call__(self, whose: Hashable, world: str, values: Values) -> Values:
        """Add the next values of a series and return the smoothed ones, float64 (n_out,).

        Args:
            whose: Whose faces these are, such as a producer and a person.
            world: Name of the world. Both name the series.
            values: float64 (n_out,). The first ones, and the first with another number of labels, are not smoothed.
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
