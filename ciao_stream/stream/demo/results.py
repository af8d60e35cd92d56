"""Results of the demo: one JSON document, and one CSV file with a row per frame.

===============  =================================================================================================
key              value
===============  =================================================================================================
source           ``synthetic``: every face is drawn
settings         :class:`~ciao_stream.stream.demo.DemoSettings`; ``learner``: the stream's settings
change           number of the first frame of the second person
people           by name, their light
accuracy         of the task: ``before`` the change, ``fallen`` right after it and at the ``end``, each over
                 ``window`` frames; ``control``: of the old world, over all frames after the change
frames           columns, one value per frame: see :data:`COLUMNS`
opened           by world of the task, the first frame that it predicted
signals          by detector, the frames after which it signalled
worlds           by world: ``accuracy`` on held faces by person; the sha256 of its ``weights`` and of its
                 ``answers`` for held faces at the end; ``kept``, both when it stopped learning, or null; ``learned``,
                 the frames that it learned; ``identical``, whether the two are the same, or null
throughput       of the learner: ``frames`` in ``busy_seconds``, ``frames_per_s``; ``latency_ms``, of a predictor
                 that ran at the same time (median); ``seconds``, of the whole demo
===============  =================================================================================================
"""

from __future__ import annotations

import csv
import hashlib
import io
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.synthetic.robot_camera import ACTS, LABELS
from ciao_stream.encoders.base import Encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import Image
from ciao_stream.runtime.options import to_json
from ciao_stream.stream.demo import OLD, TASK, DemoSettings
from ciao_stream.stream.learner.checkpoint import Checkpoints
from ciao_stream.stream.learner.learner import OnlineLearner
from ciao_stream.stream.learner.prequential import watches
from ciao_stream.stream.sources.synthetic import open_source
from ciao_stream.worlds.worlds import Worlds

FORMAT = "ciao_stream/stream-demo/1"

COLUMNS = ("frame", "person", "world", "right", "rolling", "control_right", "control_rolling", "drift")
"""Number; its person; the task's world that predicted it before learning it; whether that was correct; the share of
correct predictions in the window up to here; the same two for the old world, which learns only up to the change;
detectors that signalled."""

BATCH = 64
"""Faces predicted at the same time."""

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Faces:
    """Labelled faces that no learner sees.

    Args:
        pixels: uint8 (N, channels, size, size), prepared for the encoder.
        targets: int64 (N,).
    """

    pixels: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.int64]

    @classmethod
    def of(cls, images: list[Image], targets: npt.NDArray[np.int64], encoder: Encoder) -> Faces:
        """Prepare images for an encoder."""
        return cls(np.stack([encoder.preprocessing.fit(image) for image in images]), targets)


@dataclass(frozen=True)
class Snapshot:
    """One world at one moment.

    Args:
        weights: SHA-256 of all its weights and buffers.
        answers: SHA-256 of its outputs, float32, for all held faces.
        accuracy: Share of correct predictions on held faces, by person.
        evaluated: Predictions evaluated in the stream so far.
    """

    weights: str
    answers: str
    accuracy: dict[str, float]
    evaluated: int


@dataclass(frozen=True, eq=False)
class Record:
    """All evaluated predictions of one task, in order, by whichever of its worlds.

    Args:
        right: bool (N,), whether each was correct.
        opened: By world of the task, the number of its first prediction.
        signals: By detector, the numbers of the predictions after which it signalled.
    """

    right: Bools
    opened: dict[str, int]
    signals: dict[str, list[int]]


@dataclass(frozen=True, eq=False)
class Played:
    """What the demo produced.

    Args:
        learner: At the end.
        kept: By world that stopped learning: its snapshot from when it stopped, or soon after.
        end: By world, its snapshot at the end.
        control: Results of a predictor with the old world, one for each frame after the change.
        throughput: Of the learner.
        seconds: Duration of the demo.
    """

    learner: OnlineLearner
    kept: dict[str, Snapshot]
    end: dict[str, Snapshot]
    control: list[dict[str, Any]]
    throughput: dict[str, float]
    seconds: float


def newest(checkpoints: Path, encoder: Encoder) -> OnlineLearner:
    """Return the learner of the newest checkpoint.

    Raises:
        CiaoError: There is none, or it cannot be read.
    """
    restored = Checkpoints(checkpoints).load(encoder)
    if restored is None:
        raise CiaoError(f"no checkpoint in {checkpoints}")
    return restored.learner


def snapshots(learner: OnlineLearner, held: Mapping[str, Faces]) -> dict[str, Snapshot]:
    """Return a snapshot of each world, given held faces by person."""
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
        found[name] = Snapshot(online.world.sha256(), digest.hexdigest(), accuracy, online.prequential.n)
    return found


def record(learner: OnlineLearner, task: str) -> Record:
    """Return the record of a task with classes.

    The checkpoint holds the predictions of the window and how often detectors signalled, but not when. Detectors are
    deterministic: fresh ones that read the same errors signal at the same predictions.

    Raises:
        CiaoError: The window does not reach back to the first prediction.
    """
    right: list[bool] = []
    opened: dict[str, int] = {}
    signals: dict[str, list[int]] = {watch.name: [] for watch in watches()}
    for name in learner.to_state().values["tasks"][task]:
        prequential = learner.worlds[name].prequential
        pairs = prequential.state().tensors["window"].reshape(-1, 2).tolist()
        if len(pairs) != prequential.n:
            raise CiaoError(
                f"world {name!r} evaluated {prequential.n} predictions but keeps {len(pairs)}: give a larger --window"
            )
        opened[name] = len(right)
        fresh = watches()
        for truth, prediction in pairs:
            right.append(truth == prediction)
            for watch in fresh:
                if watch.update(float(truth != prediction)):
                    signals[watch.name].append(len(right) - 1)
    return Record(np.array(right, dtype=np.bool_), opened, signals)


def rolling(right: Bools, window: int) -> npt.NDArray[np.float64]:
    """Return the share of correct predictions among the last ``window``, or fewer at the start: float64 (N,).

    >>> rolling(np.array([True, True, False, False]), 2).tolist()
    [1.0, 1.0, 0.5, 0.0]
    """
    total = np.concatenate([[0], np.cumsum(right)])
    ends = np.arange(1, len(right) + 1)
    begins = np.maximum(ends - window, 0)
    share: npt.NDArray[np.float64] = (total[ends] - total[begins]) / (ends - begins)
    return share


def document(settings: DemoSettings, played: Played) -> dict[str, Any]:
    """Return the document.

    Raises:
        CiaoError: The predictor did not predict each frame after the change.
    """
    learner, half, window = played.learner, settings.half, settings.window
    scene = open_source(f"{TASK},frames={settings.frames},seed={settings.seed}")
    targets = np.concatenate([take.targets() for take in scene.takes])
    task, old = record(learner, TASK), record(learner, OLD)
    control = _evaluated(played.control, targets[half:], half)
    frozen = np.concatenate([old.right, control])
    curve = rolling(task.right, window)
    return {
        "format": FORMAT,
        "source": "synthetic",
        "settings": asdict(settings),
        "learner": to_json(learner.settings),
        "encoder": {"name": learner.encoder.name, "fingerprint": learner.fingerprint},
        "change": half,
        "people": {name: act.room for name, act in ACTS.items()},
        "accuracy": {
            "before": float(curve[half - 1]),
            "fallen": float(curve[half + window - 1]),
            "end": float(curve[-1]),
            "control": float(control.mean()),
        },
        "frames": {
            "frame": list(range(settings.frames)),
            "person": list(chain.from_iterable([take.person] * len(take) for take in scene.takes)),
            "world": _predicting(task),
            "right": task.right.astype(int).tolist(),
            "rolling": curve.tolist(),
            "control_right": frozen.astype(int).tolist(),
            "control_rolling": rolling(frozen, window).tolist(),
            "drift": [_signalled(task, frame) for frame in range(settings.frames)],
        },
        "opened": task.opened,
        "signals": task.signals,
        "worlds": {name: _world(end, played.kept.get(name)) for name, end in played.end.items()},
        "throughput": {
            **played.throughput,
            "latency_ms": statistics.median(result["latency_ms"] for result in played.control),
            "seconds": played.seconds,
        },
    }


def table_of(document: dict[str, Any]) -> str:
    """Return the CSV: a header and one line per frame."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(zip(*(document["frames"][name] for name in COLUMNS), strict=True))
    return text.getvalue()


def spans(document: dict[str, Any]) -> list[tuple[int, int]]:
    """Return the rows of a table as ranges of frames: windows that begin at the start and at the change."""
    ends = (0, document["change"], document["settings"]["frames"])
    window = document["settings"]["window"]
    return [(at, min(at + window, end)) for begin, end in pairwise(ends) for at in range(begin, end, window)]


def _outputs(worlds: Worlds, pixels: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.float32]]:
    parts: list[dict[str, Any]] = [
        worlds.predict(torch.from_numpy(pixels[at : at + BATCH])) for at in range(0, len(pixels), BATCH)
    ]
    return {name: torch.cat([part[name] for part in parts]).numpy() for name in worlds}


def _evaluated(results: list[dict[str, Any]], targets: np.ndarray, first: int) -> Bools:
    """Return which of the predictor's results are correct, in the order of the frames."""
    predicted = {int(result["frame_id"].rpartition("/")[2]) - first: result["answer"] for result in results}
    if len(results) != len(targets) or set(predicted) != set(range(len(targets))):
        raise CiaoError(f"expected predictions of the old world for {len(targets)} frames but got {len(results)}")
    return np.array([predicted[frame] == LABELS[target] for frame, target in enumerate(targets.tolist())])


def _predicting(task: Record) -> list[str]:
    names = list(task.opened)
    ends = [*list(task.opened.values())[1:], len(task.right)]
    return [name for name, end in zip(names, ends, strict=True) for _ in range(task.opened[name], end)]


def _signalled(task: Record, frame: int) -> str:
    return " ".join(name for name, frames in task.signals.items() if frame in frames)


def _world(end: Snapshot, kept: Snapshot | None) -> dict[str, Any]:
    hashes = {"weights": end.weights, "answers": end.answers}
    before = kept and {"weights": kept.weights, "answers": kept.answers}
    same = None if before is None else before == hashes
    return {"learned": end.evaluated, "accuracy": end.accuracy, **hashes, "kept": before, "identical": same}
