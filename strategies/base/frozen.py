"""Baselines in closed form: an estimator of scikit-learn on features that do not learn, one for each task."""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.dummy import DummyClassifier
from torch import Tensor

from ciao_stream.encoders.base import Level
from ciao_stream.encoders.encoded import EncodedFaces
from ciao_stream.encoders.pooling import pooled_maps
from ciao_stream.faces.task import Kind, TaskSpec
from ciao_stream.metrics.answers import describe_answers
from ciao_stream.metrics.scores import evaluate
from strategies.base.sequence import Job, Outcome, Predictor, TaskOutcome

BATCH = 1024
"""Faces that are described at a time."""

FLOOR = 1e-9
"""Probabilities are kept inside [FLOOR, 1 - FLOOR] before their logarithm is taken."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FrozenFeatures:
    """Fits one estimator per task; nothing is drawn at random, so that every seed gives the same.

    Args:
        estimators: Makes an unfitted estimator for a kind of task; classes stand for votes. A task whose kind is
            missing is not run.
        describe: Turns a batch at level ``reads`` into features, float32 (B, n).
        reads: What of a face is described.
    """

    estimators: Mapping[Kind, Callable[[], Any]]
    describe: Callable[[Tensor], Tensor] = pooled_maps
    reads: Level = "u"
    deterministic = True

    def level(self, masked: bool) -> Level:  # noqa: ARG002
        """What it reads."""
        return self.reads

    def run(self, job: Job, masked: bool) -> Outcome:
        """Fit the tasks one after another; before that, all outputs are 0."""
        saved = job.folder / "progress.json"
        if saved.exists():
            return Outcome.load(saved)
        reasons = {spec.name: reason for spec in job.specs if (reason := self._barred(spec, masked))}
        specs = [spec for spec in job.specs if spec.name not in reasons]
        matrix = np.full((len(job.specs) + 1, len(job.specs)), np.nan)
        outcome = Outcome(matrix, not_run=reasons)
        for spec in specs:
            column = job.specs.index(spec)
            test = job.faces(spec, "test", self.reads)
            start = time.perf_counter()
            estimator = self._fit(spec, job.faces(spec, "train", self.reads))
            seconds = time.perf_counter() - start
            before, after = np.zeros((len(test), spec.n_out)), _outputs(spec, estimator, self.features(test))
            first, metrics = (_judged(test, outputs) for outputs in (before, after))
            matrix[: column + 1, column] = first[spec.primary]
            matrix[column + 1 :, column] = metrics[spec.primary]
            n, fitted = test.faces.n_judged(), _fitted(estimator)
            size, digest = sum(array.size for array in fitted), hashlib.sha256(b"".join(map(bytes, fitted)))
            details = describe_answers(spec, torch.from_numpy(after), test.faces.targets, test.faces.groups)
            outcome.tasks.append(TaskOutcome(spec.name, metrics, n, size, seconds, digest.hexdigest(), details))
            for _ in range(job.settings[spec.name].epochs):
                job.on_epoch(spec.name)
        outcome.save(saved)
        return outcome

    def predictor(self, job: Job, spec: TaskSpec, masked: bool) -> Predictor:  # noqa: ARG002
        """Return what a task's estimator answers, fitted anew: nothing is drawn, so that it is the one that was run."""
        estimator = self._fit(spec, job.faces(spec, "train", self.reads))
        return lambda asked: torch.from_numpy(_outputs(spec, estimator, self.features(asked(self.reads))))

    def features(self, encoded: EncodedFaces) -> npt.NDArray[np.float32]:
        """Return the features of a split, (N, n)."""
        return np.concatenate([self.describe(x).numpy() for x, _ in encoded.batches(BATCH)])

    def _barred(self, spec: TaskSpec, masked: bool) -> str:
        """Return why a task cannot be run; empty where it can."""
        if masked:
            return "a baseline in closed form has no mask"
        return "" if _kind(spec) in self.estimators else f"{spec.kind} targets do not fit this baseline"

    def _fit(self, spec: TaskSpec, train: EncodedFaces) -> Any:
        targets = train.faces.classes() if spec.has_classes else train.faces.targets
        if _is_one_label(spec):
            targets = train.faces.targets[:, 0].astype(np.int64)
        make = self.estimators[_kind(spec)]
        if (spec.has_classes or _is_one_label(spec)) and len(np.unique(targets)) == 1:
            make = DummyClassifier
        with warnings.catch_warnings():
            for constant in ("Label .* is present in all training examples", "self.within_class_std_dev_ has"):
                warnings.filterwarnings("ignore", constant, UserWarning)
            return make().fit(self.features(train), targets)


def _kind(spec: TaskSpec) -> Kind:
    return "categorical" if spec.has_classes else spec.kind


def _is_one_label(spec: TaskSpec) -> bool:
    """Whether there is one label, there or not: scikit-learn has two classes for that, and no columns."""
    return spec.kind == "multilabel" and spec.n_out == 1


def _outputs(spec: TaskSpec, estimator: Any, x: npt.NDArray[np.float32]) -> Floats:
    """Return outputs (N, n_out) as a head would give them; a class that was never seen is never likely."""
    if spec.kind == "dimensional":
        return np.clip(estimator.predict(x), -1, 1).reshape(len(x), spec.n_out)
    if spec.kind == "multilabel":
        p = _by_class(estimator, x, 2)[:, 1:] if _is_one_label(spec) else estimator.predict_proba(x)
        p = np.clip(p, FLOOR, 1 - FLOOR)
        return np.log(p / (1 - p))
    return np.log(np.maximum(_by_class(estimator, x, spec.n_out), FLOOR))


def _by_class(estimator: Any, x: npt.NDArray[np.float32], n: int) -> Floats:
    """Return the probability of each of ``n`` classes, (N, n); 0 for one that was never seen."""
    p = np.zeros((len(x), n))
    p[:, estimator.classes_] = estimator.predict_proba(x)
    return p


def _judged(test: EncodedFaces, outputs: Floats) -> dict[str, float]:
    return evaluate(test.faces.spec, torch.from_numpy(outputs), test.faces.targets, test.faces.groups)


def _fitted(estimator: Any) -> list[Floats]:
    """Return the arrays that were fitted, standardisation left out."""
    parts = [step for _, step in getattr(estimator, "steps", [])] or [*getattr(estimator, "estimators_", [])]
    names = ("coef_", "intercept_", "centroids_", "class_prior_", "constant_")
    own = [np.asarray(getattr(estimator, name), np.float64) for name in names if hasattr(estimator, name)]
    return [array for part in parts for array in _fitted(part)] or own
