"""Online strategies: each face is predicted, then learned, once and in one order; there are no epochs.

What is measured on the way is written next to the progress: its prequential metrics over the first 500, 2,000,
8,000 and all faces and over the first tenth, its metrics on the split that the plan is judged on at each of these
points, and the prequential metric of each fiftieth of the stream.
"""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ciao_stream.baselines import Baseline, make_baseline
from ciao_stream.encoders.base import Level
from ciao_stream.encoders.pooling import pooled_maps
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.task import TaskSpec
from ciao_stream.metrics.scores import evaluate, strict
from ciao_stream.runtime.atomic import write_text
from ciao_stream.runtime.seeds import numpy_generator
from ciao_stream.stream.learner.settings import StreamSettings
from ciao_stream.stream.learner.world import OnlineWorld
from ciao_stream.worlds.settings import PRESETS
from strategies.base.driver import Judged, Learner, Strategy
from strategies.base.sequence import Job, SplitFaces

EVAL_BATCH = 256
"""Faces per batch of evaluation."""

MICRO_BATCH = StreamSettings().micro_batch
"""Faces that are predicted, then learned, at a time; as many as in the streaming learner."""

POINTS = (500, 2_000, 8_000)
"""Faces after which a strategy is judged; and after a tenth, and all."""

WINDOWS = 50
"""Parts of the stream whose metrics are reported separately."""

FORMAT = "ciao_stream/prequential/1"
FILE = "prequential.json"


class OnlineModel(Protocol):
    """What learns one task online."""

    def take(self, x: Tensor, y: Tensor) -> Tensor:
        """Predict some faces, at the level that the strategy reads, then learn from their labels.

        Args:
            x: (B, ...), at most :data:`MICRO_BATCH` faces.
            y: Targets in the layout of the task's kind.

        Returns:
            Outputs (B, n_out), float32, on the CPU, predicted before any label of this call is learned.
        """
        ...

    def outputs(self, faces: SplitFaces) -> Tensor:
        """Predict a split, (N, n_out). Changes no state."""
        ...

    def size(self) -> int:
        """Return how many numbers were learned."""
        ...

    def sha256(self) -> str:
        """Return a digest of what was learned."""
        ...


@dataclass(frozen=True)
class Online(Strategy):
    """Runs one online learner per task.

    Args:
        make: Makes the learner of a task; takes job, task, and whether it has a mask.
        reads: The level that it learns from, without a mask.
        also_reads: Further levels that it predicts from.
        masks: Whether it can have a mask.
        only_classes: Whether it can learn only tasks with classes.
    """

    make: Callable[[Job, TaskSpec, bool], OnlineModel]
    reads: Level = "u"
    also_reads: tuple[Level, ...] = ()
    masks: bool = False
    only_classes: bool = True

    def learner(self, job: Job, masked: bool) -> Learner:
        """Return a learner with a fresh model for every task."""
        return _Streams(job, lambda spec: self.make(job, spec, masked), self.level(masked))

    def refuse(self, spec: TaskSpec) -> str:
        """Refuse tasks without classes, unless it can learn them."""
        return f"{spec.kind} targets do not fit a classifier" if self.only_classes and not spec.has_classes else ""


class _Streams(Learner):
    """Each task as a stream of its own, with a model of its own."""

    def __init__(self, job: Job, make: Callable[[TaskSpec], OnlineModel], level: Level) -> None:
        self.job = job
        self.level = level
        self.model = functools.cache(make)
        self.seconds: dict[str, float] = {}

    def learn(self, spec: TaskSpec, faces: SplitFaces) -> None:
        """Stream a task's training faces once, in one order, and write what was measured on the way."""
        train, model = faces(self.level), self.model(spec)
        order = numpy_generator(self.job.seed, spec.name, "stream").permutation(len(train))
        predicted, judged, seconds = [], {}, 0.0
        due = points_of(len(train))
        for start in range(0, len(train), MICRO_BATCH):
            x, y = train.batch(order[start : start + MICRO_BATCH])
            began = time.perf_counter()
            predicted.append(model.take(x, y))
            seconds += time.perf_counter() - began
            for point in due:
                if start < point <= start + MICRO_BATCH:
                    judged[point] = self._judge(spec)
        _write(self.job.folder / spec.name, spec, torch.cat(predicted), train.faces.targets[order], judged)
        self.seconds[spec.name] = seconds

    def outputs(self, spec: TaskSpec, faces: SplitFaces) -> Tensor:
        return self.model(spec).outputs(faces)

    def sha256(self, spec: TaskSpec) -> str:
        return self.model(spec).sha256()

    def cost(self, spec: TaskSpec) -> dict[str, float]:
        """Return the size of the task's model, and the time it took to learn, without measuring on the way."""
        return {"trained_parameters": self.model(spec).size(), "train_seconds": self.seconds[spec.name]}

    def details(self, spec: TaskSpec, judged: Judged) -> dict[str, Any]:  # noqa: ARG002
        """Return nothing: ``prequential.json`` has what was measured on the way."""
        return {}

    def _judge(self, spec: TaskSpec) -> dict[str, float]:
        faces = self.job.faces(spec, "judged", self.level).faces
        return Judged(faces, self.outputs(spec, functools.partial(self.job.faces, spec, "judged"))).metrics


def points_of(n: int) -> list[int]:
    """Return after how many of ``n`` faces a strategy is judged.

    >>> points_of(25_060), points_of(700)
    ([500, 2000, 2506, 8000, 25060], [70, 500, 700])
    """
    return sorted({n, max(1, n // 10), *(point for point in POINTS if point < n)})


def read_prequential(folder: Path, task: str) -> dict[str, Any]:
    """Return what a finished run wrote of a task.

    Args:
        folder: Of the run.
        task: The task.

    Returns:
        ``points``, each with ``n``, the metrics ``prequential`` over the first ``n`` faces and ``judged`` after them
        (that is, after the micro-batch that the last of them is in), and ``windows``, each with ``first`` and ``last``,
        counted from 1, and ``value``, the primary metric on those faces. Undefined metrics are null.

    Raises:
        CiaoError: The file is missing or damaged.
    """
    path = folder / task / FILE
    try:
        document: dict[str, Any] = json.loads(path.read_text())
        if document["format"] != FORMAT:
            raise ValueError(document["format"])
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise CiaoError(f"{path} is missing or damaged: delete {folder} to run it again") from error
    return document


def _write(
    folder: Path,
    spec: TaskSpec,
    outputs: Tensor,
    targets: npt.NDArray[Any],
    judged: Mapping[int, Mapping[str, float]],
) -> None:
    points = [
        {"n": n, "prequential": strict(evaluate(spec, outputs[:n], targets[:n])), "judged": strict(metrics)}
        for n, metrics in judged.items()
    ]
    edges = np.unique(np.linspace(0, len(targets), WINDOWS + 1).round().astype(int)).tolist()
    windows = [
        {
            "first": first + 1,
            "last": last,
            "value": strict(evaluate(spec, outputs[first:last], targets[first:last]))[spec.primary],
        }
        for first, last in pairwise(edges)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    document = {"format": FORMAT, "points": points, "windows": windows}
    write_text(folder / FILE, json.dumps(document, indent=1, allow_nan=False))


@dataclass
class _Classifier:
    """One baseline on pooled maps."""

    baseline: Baseline

    def take(self, x: Tensor, y: Tensor) -> Tensor:
        outputs = []
        classes = (y if y.ndim == 1 else y.argmax(dim=1)).tolist()
        for face, target in zip(pooled_maps(x).numpy(), classes, strict=True):
            outputs.append(self.baseline.outputs(face[None])[0])
            self.baseline.learn(face, target)
        return torch.from_numpy(np.stack(outputs)).float()

    def outputs(self, faces: SplitFaces) -> Tensor:
        batches = faces("u").batches(EVAL_BATCH)
        return torch.from_numpy(np.concatenate([self.baseline.outputs(pooled_maps(x).numpy()) for x, _ in batches]))

    def size(self) -> int:
        return sum(tensor.numel() for tensor in self.baseline.state().tensors.values())

    def sha256(self) -> str:
        tensors = self.baseline.state().tensors
        return hashlib.sha256(b"".join(tensors[name].numpy().tobytes() for name in sorted(tensors))).hexdigest()


def online_baseline(name: str) -> Online:
    """Return the strategy that runs a baseline by its name."""

    def learner(job: Job, spec: TaskSpec, masked: bool) -> _Classifier:  # noqa: ARG001
        n_features = pooled_maps(torch.zeros(1, *job.encoder.shapes()[1])).shape[1]
        return _Classifier(make_baseline(name, n_features, spec.n_out))

    return Online(learner)


@dataclass
class _World:
    """One online world, with frames that are named by their place in the stream."""

    online: OnlineWorld
    frames: int = 0

    def take(self, x: Tensor, y: Tensor) -> Tensor:
        outputs = []
        for z, target in zip(x.half(), y.numpy(), strict=True):
            heard = self.online.frame(str(self.frames), z, target)
            self.online.learn()
            self.frames += 1
            outputs.append(torch.from_numpy(heard.outputs))
        return torch.stack(outputs)

    def outputs(self, faces: SplitFaces) -> Tensor:
        return self.online.world.predict_split(faces(self.online.world.level))

    def size(self) -> int:
        return self.online.world.parameter_count()

    def sha256(self) -> str:
        return self.online.world.sha256()


def _make(job: Job, spec: TaskSpec, masked: bool) -> _World:
    return _World(OnlineWorld.fresh(spec, job.encoder, StreamSettings(masked=masked), PRESETS["online"], job.seed))


ONLINE_WORLD = Online(_make, reads="z", also_reads=("u",), masks=True, only_classes=False)
