"""The results that a predictor publishes: a JSON object for each frame and world.

==============  ==================================================================================================
key             value
==============  ==================================================================================================
position        position of the frame's entry in the stream
frame_id        as in the frame's header; so are ``task``, ``producer``, ``person`` and ``camera``
world           name of the world, with ``kind``, its kind of target
choice          where the world was chosen: ``rule``, and the ``scores`` of all candidates by world; the highest wins
version         number of the checkpoint that the world was read from, or the start of the world's sha256
probabilities   by label; for a dimensional world instead ``values``, by dimension
answer          a label, a list of labels (multilabel), values (dimensional), or ``""``: not confident enough
confidence      probability of the answer; null for a dimensional world
latency_ms      from reading the frame to the answer
age_ms          from the arrival of the frame in Redis to the answer, by the clocks of the two machines
==============  ==================================================================================================

References:
    [1] Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.
"""

from __future__ import annotations

import math
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax

from ciao_stream.faces.task import TaskSpec
from ciao_stream.stream.log.keys import appended_at, order
from ciao_stream.stream.log.labels import Target, label_target
from ciao_stream.stream.log.messages import FrameHeader
from ciao_stream.stream.log.refusals import BadMessage
from ciao_stream.stream.predict.settings import PredictSettings
from ciao_stream.stream.predict.worlds import Served
from ciao_stream.worlds.answers import Smoother, answer, probabilities

WINDOW = 512
"""Newest labelled frames whose outputs and targets are kept; no image is kept."""

LEAST = 64
"""Fewest labelled frames; with fewer the temperature is 1."""

EVERY = 32
"""New labelled frames after which the temperature is fitted again."""

LIMITS = (0.05, 20.0)
"""Lowest and highest temperature."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame of the stream.

    Args:
        position: Position of its entry.
        header: Its header.
        pixels: uint8 (H, W), as the encoder reads it.
        read_at: When it was read, by the monotonic clock.
    """

    position: str
    header: FrameHeader
    pixels: npt.NDArray[np.uint8]
    read_at: float


class Results:
    """Makes results from the outputs of worlds, with smoothing and calibration over time.

    Args:
        settings: How the predictor answers.
    """

    def __init__(self, settings: PredictSettings) -> None:
        self.settings = settings
        self._smoother = None if settings.smooth is None else Smoother(settings.smooth)
        self._temperatures: dict[str, Temperature] = {}

    def make(
        self,
        served: Served,
        frame: Frame,
        world: str,
        outputs: npt.NDArray[np.float32],
        scores: dict[str, float] | None = None,
    ) -> dict[str, Any]:
        """Return one result.

        Args:
            served: The version of the worlds that the outputs come from.
            frame: The frame.
            world: Name of the world.
            outputs: float32 (n_out,), finite.
            scores: Where the world was chosen, the scores by world.
        """
        spec, header = served.worlds[world].spec, frame.header
        temperature = 1.0
        if self.settings.calibrate and spec.kind != "dimensional":
            temperature = self._temperature(served, frame, spec, outputs)
        values = probabilities(spec, outputs, temperature)
        if self._smoother is not None:
            values = self._smoother((header.producer, header.person), world, values)
        predicted = answer(spec, values, self.settings.abstain, self.settings.names)
        return {
            "position": frame.position,
            "frame_id": header.frame_id,
            "task": header.task,
            "producer": header.producer,
            "person": header.person,
            "camera": header.camera,
            "world": world,
            "kind": spec.kind,
            **({} if scores is None else {"choice": {"rule": self.settings.choose, "scores": scores}}),
            "version": served.versions[world],
            "values" if spec.kind == "dimensional" else "probabilities": predicted.values,
            "answer": predicted.answer,
            "confidence": predicted.confidence,
            "latency_ms": round((time.monotonic() - frame.read_at) * 1000, 3),
            "age_ms": round((time.time() - appended_at(frame.position)) * 1000, 3),
        }

    def _temperature(self, served: Served, frame: Frame, spec: TaskSpec, outputs: npt.NDArray[np.float32]) -> float:
        """Return the temperature for a prediction; the frame's own label is used only for later ones."""
        fitted = self._temperatures.get(spec.name)
        if fitted is None or fitted.spec != spec:
            fitted = self._temperatures[spec.name] = Temperature(spec)
        temperature, header = fitted.value, frame.header
        unlearned = served.position is None or order(frame.position) > order(served.position)
        if header.label is not None and unlearned and served.learns.get(header.task) == spec.name:
            with suppress(BadMessage):
                fitted.take(outputs, label_target(spec, header.label))
        return temperature


class Temperature:
    """Temperature scaling of one world [1]: it changes the confidence of a prediction, never the predicted label.

    Args:
        spec: The world's task; not a dimensional one, which has no logits.
    """

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec
        self.value = 1.0
        self._seen: deque[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]] = deque(maxlen=WINDOW)
        self._new = 0

    def take(self, outputs: npt.NDArray[np.float32], target: Target) -> None:
        """Add a prediction and its target.

        Args:
            outputs: float32 (n_out,), logits.
            target: In the layout of the task's kind.
        """
        truth = np.eye(self.spec.n_out)[int(target)] if self.spec.kind == "categorical" else target.astype(np.float64)
        self._seen.append((outputs.astype(np.float64), truth))
        self._new += 1
        if len(self._seen) >= LEAST and self._new >= EVERY:
            self._new = 0
            self.value = self._fitted()

    def _fitted(self) -> float:
        """Return the temperature with the lowest mean cross-entropy; the problem is convex in ``1 / T``."""
        logits, truth = (np.stack(column) for column in zip(*self._seen, strict=True))

        def loss(log_temperature: float) -> float:
            scaled = logits / math.exp(log_temperature)
            if self.spec.kind == "multilabel":
                return float(-(truth * log_expit(scaled) + (1 - truth) * log_expit(-scaled)).mean())
            return float(-(truth * log_softmax(scaled, axis=1)).sum(axis=1).mean())

        least, most = (math.log(limit) for limit in LIMITS)
        return math.exp(minimize_scalar(loss, bounds=(least, most), method="bounded").x)
