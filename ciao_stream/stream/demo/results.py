"""What the demonstration measured, as one JSON document and one CSV file with a row per frame.

===============  =================================================================================================
key              value
===============  =================================================================================================
source           ``synthetic``: every face is drawn
settings         :class:`~ciao_stream.stream.demo.settings.DemoSettings`; ``learner``: the stream's settings
change           number of the first frame of the second person
people           by name, the light that they are in
accuracy         of the task: ``before`` the change, ``fallen`` right after it and at the ``end``, each over
                 ``window`` frames; ``control``: of the old world, over all frames after the change
frames           columns, one value per frame: see :data:`COLUMNS`
opened           by world of the task, the first frame that it answered
signals          by detector, the frames after which it signalled
worlds           by world: ``accuracy`` on held faces by person; the sha256 of its ``weights`` and of its
                 ``answers`` for held faces at the end; ``kept``, both when it stopped learning, or null; ``learned``,
                 the frames that it learned; ``identical``, whether the two are the same, or null
throughput       of the learner: ``frames`` in ``busy_seconds``, ``frames_per_s``; ``latency_ms``, of a predictor
                 beside it (median); ``seconds``, of the whole demonstration
===============  =================================================================================================
"""

from __future__ import annotations

import csv
import io
import statistics
from dataclasses import asdict
from itertools import chain, pairwise
from typing import Any

import numpy as np

from benchmarks.synthetic.robot_camera import ACTS, LABELS
from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.demo.play import Played
from ciao_stream.stream.demo.record import Bools, Record, Standing, record, rolling
from ciao_stream.stream.demo.settings import OLD, TASK, DemoSettings
from ciao_stream.stream.sources.synthetic import open_source

FORMAT = "ciao_stream/stream-demo/1"

COLUMNS = ("frame", "person", "world", "right", "rolling", "control_right", "control_rolling", "drift")
"""Number, who it shows, the task's world that answered before it learned, whether rightly, the share of right answers
in the window up to here; the same for the old world, which learns only up to the change; detectors that signalled."""


def document(settings: DemoSettings, played: Played) -> dict[str, Any]:
    """Return the document.

    Raises:
        CiaoError: The old world was not asked about each frame after the change.
    """
    learner, half, window = played.learner, settings.half, settings.window
    scene = open_source(f"{TASK},frames={settings.frames},seed={settings.seed}")
    targets = np.concatenate([take.targets() for take in scene.takes])
    task, old = record(learner, TASK), record(learner, OLD)
    control = _judged(played.control, targets[half:], half)
    frozen = np.concatenate([old.right, control])
    curve = rolling(task.right, window)
    return {
        "format": FORMAT,
        "source": "synthetic",
        "settings": asdict(settings),
        "learner": learner.settings.to_json(),
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
            "world": _answering(task),
            "right": task.right.astype(int).tolist(),
            "rolling": curve.tolist(),
            "control_right": frozen.astype(int).tolist(),
            "control_rolling": rolling(frozen, window).tolist(),
            "drift": [_signalled(task, frame) for frame in range(settings.frames)],
        },
        "opened": task.opened,
        "signals": task.signals,
        "worlds": {name: _world(standing, played.kept.get(name)) for name, standing in played.end.items()},
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
    """Return the parts of the stream that a table shows: windows that begin at the start and at the change."""
    ends = (0, document["change"], document["settings"]["frames"])
    window = document["settings"]["window"]
    return [(at, min(at + window, end)) for begin, end in pairwise(ends) for at in range(begin, end, window)]


def _judged(results: list[dict[str, Any]], targets: np.ndarray, first: int) -> Bools:
    """Return which of the predictor's answers are right, in the order of the frames."""
    said = {int(result["frame_id"].rpartition("/")[2]) - first: result["answer"] for result in results}
    if len(results) != len(targets) or set(said) != set(range(len(targets))):
        raise CiaoError(f"expected the old world's answers for {len(targets)} frames but got {len(results)}")
    return np.array([said[frame] == LABELS[target] for frame, target in enumerate(targets.tolist())])


def _answering(task: Record) -> list[str]:
    names = list(task.opened)
    ends = [*list(task.opened.values())[1:], len(task.right)]
    return [name for name, end in zip(names, ends, strict=True) for _ in range(task.opened[name], end)]


def _signalled(task: Record, frame: int) -> str:
    return " ".join(name for name, frames in task.signals.items() if frame in frames)


def _world(end: Standing, kept: Standing | None) -> dict[str, Any]:
    hashes = {"weights": end.weights, "answers": end.answers}
    before = kept and {"weights": kept.weights, "answers": kept.answers}
    same = None if before is None else before == hashes
    return {"learned": end.judged, "accuracy": end.accuracy, **hashes, "kept": before, "identical": same}
