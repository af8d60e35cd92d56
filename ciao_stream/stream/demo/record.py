"""What a learner's newest checkpoint tells of the past: every answer that was judged, drift, and answers of now."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ciao_stream.encoders.base import Encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import Image
from ciao_stream.stream.learner.checkpoint import Checkpoints
from ciao_stream.stream.learner.learner import OnlineLearner
from ciao_stream.stream.learner.prequential import watches
from ciao_stream.worlds.worlds import Worlds

Bools = npt.NDArray[np.bool_]

TOGETHER = 64
"""Faces that are asked about at a time."""


@dataclass(frozen=True, eq=False)
class Faces:
    """Labelled faces that no learner sees.

    Args:
        pixels: uint8 (N, channels, size, size), as the encoder takes them.
        targets: int64 (N,).
    """

    pixels: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.int64]

    @classmethod
    def of(cls, images: list[Image], targets: npt.NDArray[np.int64], encoder: Encoder) -> Faces:
        """Prepare images as an encoder takes them."""
        return cls(np.stack([encoder.preprocessing.fit(image) for image in images]), targets)


@dataclass(frozen=True)
class Standing:
    """What one world is worth at a moment.

    Args:
        weights: SHA-256 of all its weights and buffers.
        answers: SHA-256 of its outputs, float32, for all held faces.
        accuracy: Share of right answers, by person.
        judged: Answers that were judged so far.
    """

    weights: str
    answers: str
    accuracy: dict[str, float]
    judged: int


@dataclass(frozen=True, eq=False)
class Record:
    """Every answer of one task that was judged, in order, whichever of its worlds gave it.

    Args:
        right: bool (N,).
        opened: By world of the task, the number of the first answer that it gave.
        signals: By detector, the numbers of the answers after which it signalled.
    """

    right: Bools
    opened: dict[str, int]
    signals: dict[str, list[int]]


def newest(checkpoints: Path, encoder: Encoder) -> OnlineLearner:
    """Return the learner in the newest checkpoint.

    Raises:
        CiaoError: There is none, or it cannot be read.
    """
    restored = Checkpoints(checkpoints).load(encoder)
    if restored is None:
        raise CiaoError(f"no checkpoint in {checkpoints}")
    return restored.learner


def standings(learner: OnlineLearner, held: Mapping[str, Faces]) -> dict[str, Standing]:
    """Return what each world is worth, on held faces by person."""
    worlds = Worlds(learner.encoder)
    for online in learner.worlds.values():
        worlds.put(online.world)
    outputs = {person: _outputs(worlds, faces.pixels) for person, faces in held.items()}
    found = {}
    for name, online in learner.worlds.items():
        digest = hashlib.sha256(b"".join(np.ascontiguousarray(of[name]).tobytes() for of in outputs.values()))
        accuracy = {
            person: float((of[name].argmax(1) == held[person].targets).mean()) for person, of in outputs.items()
        }
        found[name] = Standing(online.world.sha256(), digest.hexdigest(), accuracy, online.prequential.n)
    return found


def record(learner: OnlineLearner, task: str) -> Record:
    """Return the record of a task with classes.

    The checkpoint holds the answers of the window and how often detectors signalled, not when. They are deterministic:
    fresh ones that read the same errors signal at the same answers.

    Raises:
        CiaoError: The window does not reach back to the first answer.
    """
    right: list[bool] = []
    opened: dict[str, int] = {}
    signals: dict[str, list[int]] = {watch.name: [] for watch in watches()}
    for name in learner.to_state().values["tasks"][task]:
        judged = learner.worlds[name].prequential
        pairs = judged.state().tensors["window"].reshape(-1, 2).tolist()
        if len(pairs) != judged.n:
            raise CiaoError(f"world {name!r} judged {judged.n} answers and keeps {len(pairs)}: give a larger --window")
        opened[name] = len(right)
        fresh = watches()
        for truth, answer in pairs:
            right.append(truth == answer)
            for watch in fresh:
                if watch.update(float(truth != answer)):
                    signals[watch.name].append(len(right) - 1)
    return Record(np.array(right, dtype=np.bool_), opened, signals)


def rolling(right: Bools, window: int) -> npt.NDArray[np.float64]:
    """Return the share of right answers among the last ``window``, or those there are: float64 (N,).

    >>> rolling(np.array([True, True, False, False]), 2).tolist()
    [1.0, 1.0, 0.5, 0.0]
    """
    total = np.concatenate([[0], np.cumsum(right)])
    ends = np.arange(1, len(right) + 1)
    begins = np.maximum(ends - window, 0)
    share: npt.NDArray[np.float64] = (total[ends] - total[begins]) / (ends - begins)
    return share


def _outputs(worlds: Worlds, pixels: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.float32]]:
    parts: list[dict[str, Any]] = [
        worlds.predict(torch.from_numpy(pixels[at : at + TOGETHER])) for at in range(0, len(pixels), TOGETHER)
    ]
    return {name: torch.cat([part[name] for part in parts]).numpy() for name in worlds}
