"""Baselines in closed form: an estimator of scikit-learn on features that do not learn, one for each task."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.neighbors import NearestCentroid
from torch import Tensor

from ciao_stream.baselines.slda import SHRINKAGE, StreamingLDA
from ciao_stream.encoders.base import Level
from ciao_stream.encoders.encoded import EncodedFaces
from ciao_stream.encoders.pooling import pooled_maps
from ciao_stream.faces.task import Kind, TaskSpec
from strategies.base.driver import ArrayLearner, Learner, Strategy
from strategies.base.sequence import Job, Predictor, SplitFaces

BATCH = 1024
"""Faces that are described at a time."""

FLOOR = 1e-9
"""Probabilities are kept inside [FLOOR, 1 - FLOOR] before their logarithm is taken."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FrozenFeatures(Strategy):
    """Fits one estimator per task. Nothing is drawn at random, so every seed gives the same.

    Args:
        estimators: Makes an unfitted estimator for a kind of task; that of classes also serves votes. A task whose
            kind is missing is not run.
        describe: Turns a batch at level ``reads`` into features, float32 (B, n).
        reads: The level that is described.
    """

    estimators: Mapping[Kind, Callable[[], Any]]
    describe: Callable[[Tensor], Tensor] = pooled_maps
    reads: Level = "u"
    deterministic = True

    def learner(self, job: Job, masked: bool) -> Learner:  # noqa: ARG002
        """Return a learner without estimators."""
        return _Estimators(self)

    def refuse(self, spec: TaskSpec) -> str:
        """Refuse kinds without an estimator."""
        return "" if _kind(spec) in self.estimators else f"{spec.kind} targets do not fit this baseline"

    def predictor(self, job: Job, spec: TaskSpec, masked: bool) -> Predictor:
        """Return the predictions of a task's estimator, fitted again, which gives the same one."""
        learner = self.learner(job, masked)
        learner.learn(spec, partial(job.faces, spec, "train"))
        return partial(learner.outputs, spec)

    def features(self, encoded: EncodedFaces) -> npt.NDArray[np.float32]:
        """Return the features of a split, (N, n)."""
        return np.concatenate([self.describe(x).numpy() for x, _ in encoded.batches(BATCH)])


@dataclass
class _Estimators(ArrayLearner):
    """The fitted estimator of each task; before a task is learned, all its outputs are 0."""

    strategy: FrozenFeatures
    fitted: dict[str, Any] = field(default_factory=dict)

    def learn(self, spec: TaskSpec, faces: SplitFaces) -> None:
        train = faces(self.strategy.reads)
        targets = train.faces.classes() if spec.has_classes else train.faces.targets
        if _is_one_label(spec):
            targets = train.faces.targets[:, 0].astype(np.int64)
        make = self.strategy.estimators[_kind(spec)]
        if (spec.has_classes or _is_one_label(spec)) and len(np.unique(targets)) == 1:
            make = DummyClassifier
        with warnings.catch_warnings():
            for constant in ("Label .* is present in all training examples", "self.within_class_std_dev_ has"):
                warnings.filterwarnings("ignore", constant, UserWarning)
            self.fitted[spec.name] = make().fit(self.strategy.features(train), targets)

    def outputs(self, spec: TaskSpec, faces: SplitFaces) -> Tensor:
        judged = faces(self.strategy.reads)
        if spec.name not in self.fitted:
            return torch.zeros(len(judged), spec.n_out, dtype=torch.float64)
        return torch.from_numpy(_outputs(spec, self.fitted[spec.name], self.strategy.features(judged)))

    def arrays(self, spec: TaskSpec) -> list[Floats]:
        return _fitted(self.fitted[spec.name])


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


def _fitted(estimator: Any) -> list[Floats]:
    """Return the arrays that were fitted, without those of the standardisation."""
    parts = [step for _, step in getattr(estimator, "steps", [])] or [*getattr(estimator, "estimators_", [])]
    names = ("coef_", "intercept_", "centroids_", "class_prior_", "constant_")
    own = [np.asarray(getattr(estimator, name), np.float64) for name in names if hasattr(estimator, name)]
    return [array for part in parts for array in _fitted(part)] or own


class NearestMean(NearestCentroid):  # type: ignore[misc]
    """scikit-learn's ``NearestCentroid``, also for classes of a single face, of which no deviation is defined."""

    def fit(self, x: npt.NDArray[Any], y: npt.NDArray[np.int64]) -> NearestMean:
        """Learn samples (N, n) with classes (N,)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            super().fit(x, y)
        if len(x) == len(self.classes_):
            self.within_class_std_dev_ = np.zeros(x.shape[1])
        return self


class StreamingLDAClassifier(ClassifierMixin, BaseEstimator):
    """:class:`ciao_stream.baselines.slda.StreamingLDA` as an estimator of scikit-learn.

    Args:
        shrinkage: In (0, 1].
    """

    def __init__(self, shrinkage: float = SHRINKAGE) -> None:
        self.shrinkage = shrinkage

    def fit(self, x: npt.NDArray[Any], y: npt.NDArray[np.int64]) -> StreamingLDAClassifier:
        """Learn samples (N, n) with classes (N,), in their order."""
        model = StreamingLDA(x.shape[1], self.shrinkage)
        for start in range(0, len(x), BATCH):
            model.update(x[start : start + BATCH], y[start : start + BATCH])
        self.classes_ = model.classes
        self.coef_, self.intercept_ = model.classifier()
        return self

    def predict_proba(self, x: npt.NDArray[Any]) -> Floats:
        """Return the probability of each class, (N, K)."""
        return softmax(x @ self.coef_.T + self.intercept_, axis=1)
