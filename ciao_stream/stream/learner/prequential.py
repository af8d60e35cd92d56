"""Prequential metrics and drift detection: each prediction is evaluated before its label is learned.

Rolling metrics use the most recent predictions, fading metrics [0] all predictions, each with ``fading`` times the
weight of the next one. The metrics of classes and labels are River's, computed on demand from counts kept here, which
can be saved exactly; concordance, which River does not have, is ours.

The detectors of a rising error [2, 3] are River's, restored without pickle: a detector's state is the inputs that it
has seen since its last reset, because a fresh detector that reads them again is identical, bit for bit. It is reset
when it finds a change, and after :data:`RESET_AFTER` inputs, so that their number is bounded. After the error fell,
which learning causes, it restarts with the inputs in ADWIN's window: a fresh one would miss most rises that come soon
after.

References:
    - [0] Gama, Sebastiao, Rodrigues: On Evaluating Stream Learning Algorithms, Machine Learning 90, 2013
    - [1] West: Updating Mean and Variance Estimates: An Improved Method, CACM 22, 1979
    - [2] Bifet, Gavalda: Learning from Time-Changing Data with Adaptive Windowing, SDM 2007
    - [3] Page: Continuous Inspection Schemes, Biometrika 41, 1954
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import torch
from river import metrics
from river.base import DriftDetector
from river.drift import ADWIN, DummyDriftDetector, PageHinkley
from river.metrics.base import Metric

from ciao_stream.faces.task import TaskSpec
from ciao_stream.metrics.scores import concordance
from ciao_stream.runtime.state import State
from ciao_stream.stream.learner.settings import DetectorName, StreamSettings
from ciao_stream.stream.log.labels import Target

Floats = npt.NDArray[np.float64]
CLASS_METRICS: dict[str, Callable[..., Metric]] = {
    "accuracy": metrics.Accuracy,
    "macro_f1": metrics.MacroF1,
    "kappa": metrics.CohenKappa,
}
"""Metrics of tasks with classes: accuracy, mean F1 of the classes that occur in predictions or targets, and Cohen's
kappa."""

NEGLIGIBLE = 1e-9
"""Fading counts below this become 0: with ``fading`` 0.998 that is a prediction 10,000 predictions ago."""

RESET_AFTER = 5000
"""Inputs after which a detector that has found nothing is reset."""

DETECTORS: dict[DetectorName, Callable[[], DriftDetector]] = {
    "adwin": ADWIN,
    "page-hinkley": lambda: PageHinkley(mode="up", threshold=25, delta=0.05),
    "dummy": lambda: DummyDriftDetector(t_0=300),
}
"""ADWIN [2], the Page-Hinkley test [3], and a baseline that signals every 300 predictions whatever the error."""


class DriftWatch:
    """One detector, fed with the error of every prediction.

    Args:
        name: Of the detector.
    """

    def __init__(self, name: DetectorName) -> None:
        self.name = name
        self.signals = 0
        self._reset([])

    def update(self, error: float) -> bool:
        """Read the error of one prediction, in [0, 1].

        Returns:
            Whether the error has risen. A falling error, which learning causes, is not drift.
        """
        self._read(error)
        found = bool(self._detector.drift_detected)
        rose = found and self._rose()
        if rose or len(self._inputs) >= RESET_AFTER:
            self._reset([])
        elif found:
            self._reset(self._inputs[-round(self._detector.width) :])
        self.signals += rose
        return rose

    def state(self) -> State:
        """Return what :meth:`load` needs."""
        return State({"signals": self.signals}, {"inputs": torch.tensor(self._inputs, dtype=torch.float64)})

    def load(self, state: State) -> None:
        """Restore what :meth:`state` returned."""
        self.signals = state.values["signals"]
        self._reset(state.tensors["inputs"].tolist())

    def _reset(self, inputs: Sequence[float]) -> None:
        self._detector: Any = DETECTORS[self.name]()
        self._inputs: list[float] = []
        for error in inputs:
            self._read(error)

    def _read(self, error: float) -> None:
        self._detector.update(error)
        self._inputs.append(error)

    def _rose(self) -> bool:
        """Return whether the change just found is a rise; ADWIN also finds falls."""
        if isinstance(self._detector, ADWIN):
            return self._detector.estimation > sum(self._inputs) / len(self._inputs)
        return True


def watches() -> list[DriftWatch]:
    """Return one fresh watch for each detector."""
    return [DriftWatch(name) for name in get_args(DetectorName)]


class Prequential:
    """Metrics of one world, and detectors that watch its error.

    Args:
        spec: The task.
        settings: Window and fading.

    Attributes:
        n: Predictions evaluated so far.
    """

    def __init__(self, spec: TaskSpec, settings: StreamSettings) -> None:
        self.spec = spec
        self.fading = settings.fading
        self.n = 0
        self._watches = watches()
        self._window: deque[tuple[tuple[float, ...], tuple[float, ...]]] = deque(maxlen=settings.window)
        self._faded = _empty(spec)

    def update(self, outputs: npt.NDArray[np.float32], target: Target) -> tuple[DetectorName, ...]:
        """Evaluate one prediction.

        Args:
            outputs: float32 (n_out,), the head's outputs before anything was learned from the target.
            target: In the layout of the task's kind.

        Returns:
            The detectors that signal drift.
        """
        truth, prediction = self._comparable(outputs, target)
        self.n += 1
        self._window.append((truth, prediction))
        if self.spec.kind == "dimensional":
            self._faded = _faded_moments(self._faded, self.fading, np.array([prediction, truth]))
        else:
            self._faded *= self.fading
            self._faded[self._faded < NEGLIGIBLE] = 0
            for group, (t, p) in enumerate(zip(truth, prediction, strict=True)):
                self._faded[group, int(t), int(p)] += 1
        error = self._error(truth, prediction)
        return tuple(watch.name for watch in self._watches if watch.update(error))

    def report(self) -> dict[str, Any]:
        """Return the metrics as JSON values.

        Returns:
            ``n``, predictions evaluated so far; ``rolling`` and ``fading``, metric by name, both empty at first:
            ``accuracy``, ``macro_f1`` and ``kappa`` of tasks with classes; ``macro_f1`` and ``f1_LABEL`` of multilabel
            tasks, for labels that occur; ``ccc`` and ``ccc_LABEL`` of dimensional tasks; ``drift``, signals by
            detector.
        """
        signals = {watch.name: watch.signals for watch in self._watches}
        if not self.n:
            return {"n": 0, "rolling": {}, "fading": {}, "drift": signals}
        sides = (np.array(side, dtype=np.float64) for side in zip(*self._window, strict=True))
        truths, predictions = sides  # (n, groups) each
        if self.spec.kind == "dimensional":
            rolling = self._ccc([concordance(a, t) for a, t in zip(predictions.T, truths.T, strict=True)])
            fading = self._ccc(_concordances(self._faded))
        else:
            counts = _empty(self.spec)
            for group in range(len(counts)):
                np.add.at(counts[group], (truths[:, group].astype(int), predictions[:, group].astype(int)), 1)
            rolling, fading = self._from_counts(counts), self._from_counts(self._faded)
        return {"n": self.n, "rolling": rolling, "fading": fading, "drift": signals}

    def grow(self, spec: TaskSpec) -> None:
        """Append labels to the task; earlier predictions count as without them."""
        grown = _empty(spec)
        grown[tuple(slice(0, size) for size in self._faded.shape)] = self._faded
        if spec.kind == "multilabel":
            new = spec.n_out - self.spec.n_out
            grown[self.spec.n_out :, 0, 0] = self._faded[0].sum()
            padded = [(t + (0.0,) * new, a + (0.0,) * new) for t, a in self._window]
            self._window = deque(padded, self._window.maxlen)
        self.spec, self._faded = spec, grown

    def state(self) -> State:
        """Return what :meth:`load` needs."""
        window = torch.tensor([*self._window], dtype=torch.float64)  # (n, 2, groups)
        tensors = {"window": window, "faded": torch.from_numpy(self._faded)}
        return State.of({"n": self.n}, tensors, {watch.name: watch.state() for watch in self._watches})

    def load(self, state: State) -> None:
        """Restore what :meth:`state` returned."""
        self.n = state.values["n"]
        pairs = ((tuple(truth), tuple(prediction)) for truth, prediction in state.tensors["window"].tolist())
        self._window = deque(pairs, self._window.maxlen)
        self._faded = state.tensors["faded"].numpy().copy()
        for watch in self._watches:
            watch.load(state.part(watch.name))

    def _comparable(
        self, outputs: npt.NDArray[np.float32], target: Target
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return target and prediction as plain numbers: one class, all labels as 0 and 1, or all values."""
        if self.spec.has_classes:
            truth = target if self.spec.kind == "categorical" else target.argmax()
            return (float(truth),), (float(outputs.argmax()),)
        prediction = outputs if self.spec.kind == "dimensional" else outputs > 0
        return tuple(map(float, target)), tuple(map(float, prediction))

    def _error(self, truth: Iterable[float], prediction: Iterable[float]) -> float:
        """Return the error of a prediction, in [0, 1]: 0 or 1, share of wrong labels, or half the distance."""
        differences = [abs(t - a) for t, a in zip(truth, prediction, strict=True)]
        if self.spec.has_classes:
            return float(differences[0] > 0)
        return sum(differences) / len(differences) / (2 if self.spec.kind == "dimensional" else 1)

    def _from_counts(self, counts: Floats) -> dict[str, float]:
        """Return River's metrics of counts (1, classes, classes) or (labels, 2, 2); rows are the target."""
        matrices = [_confusion(group) for group in counts]
        if self.spec.has_classes:
            return {name: float(metric(cm=matrices[0]).get()) for name, metric in CLASS_METRICS.items()}
        occur = counts.sum(axis=(1, 2)) > counts[:, 0, 0]
        labels = zip(self.spec.labels, matrices, occur, strict=True)
        f1 = {f"f1_{label}": float(metrics.F1(cm=matrix).get()) for label, matrix, occurs in labels if occurs}
        return {"macro_f1": sum(f1.values()) / len(f1), **f1} if f1 else {}

    def _ccc(self, each: list[float]) -> dict[str, float]:
        labelled = {f"ccc_{label}": value for label, value in zip(self.spec.labels, each, strict=True)}
        return {"ccc": sum(each) / len(each), **labelled}


def _empty(spec: TaskSpec) -> Floats:
    """Return zeros: counts (1, classes, classes) or (labels, 2, 2), or moments (6, dimensions)."""
    if spec.kind == "dimensional":
        return np.zeros((6, spec.n_out))
    return np.zeros((1, spec.n_out, spec.n_out) if spec.has_classes else (spec.n_out, 2, 2))


def _confusion(counts: Floats) -> metrics.ConfusionMatrix:
    matrix = metrics.ConfusionMatrix()
    for truth, prediction in np.argwhere(counts).tolist():
        matrix.update(truth, prediction, float(counts[truth, prediction]))
    return matrix


def _faded_moments(moments: Floats, fading: float, pair: Floats) -> Floats:
    """Multiply all weights by ``fading`` and add one pair with weight 1, without cancellation [1].

    Args:
        moments: (6, D): weight, mean prediction, mean target, and about these means the sums of squared predictions,
            of squared targets and of products.
        fading: Factor of all earlier weights.
        pair: (2, D), prediction and target.
    """
    weight = moments[0] * fading + 1
    from_old = pair - moments[1:3]
    means = moments[1:3] + from_old / weight
    from_new = pair - means
    products = np.stack([from_old[0] * from_new[0], from_old[1] * from_new[1], from_old[0] * from_new[1]])
    return np.concatenate([weight[None], means, moments[3:] * fading + products])


def _concordances(moments: Floats) -> list[float]:
    """Return the concordance of each dimension, as :func:`ciao_stream.metrics.scores.concordance` defines it."""
    weight, prediction, truth, predictions, truths, products = moments
    spread = (predictions + truths) / weight + (prediction - truth) ** 2
    constant = (predictions <= 0) | (truths <= 0)
    return [0.0 if c else float(2 * p / w / s) for c, p, w, s in zip(constant, products, weight, spread, strict=True)]
