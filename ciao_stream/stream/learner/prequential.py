"""How good the answers are that a world gave before it learned from the labels: test, then train.

Rolling figures stand on the last answers alone, fading ones on all answers, each weighing ``fading`` times what the
next one weighs. The figures of classes and labels are River's, computed when they are asked for from counts that are
kept here, because the counts can be written down exactly; concordance, which River does not have, is ours.

References:
    - [0] Gama, Sebastiao, Rodrigues: On Evaluating Stream Learning Algorithms, Machine Learning 90, 2013
    - [1] West: Updating Mean and Variance Estimates: An Improved Method, CACM 22, 1979
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from river import metrics
from river.metrics.base import Metric

from ciao_stream.faces.task import TaskSpec
from ciao_stream.metrics.scores import concordance
from ciao_stream.runtime.state import State
from ciao_stream.stream.learner.drift import watches
from ciao_stream.stream.learner.settings import DetectorName, StreamSettings
from ciao_stream.stream.log.labels import Target

Floats = npt.NDArray[np.float64]
CLASS_FIGURES: dict[str, Callable[..., Metric]] = {
    "accuracy": metrics.Accuracy,
    "macro_f1": metrics.MacroF1,
    "kappa": metrics.CohenKappa,
}
"""What is said of classes: the share of right answers, the mean F1 of the classes that occur in answers or truths, and
how far the answers agree with the truths beyond chance (Cohen)."""

NEGLIGIBLE = 1e-9
"""A fading count below this is gone: so little is left of 10,000 answers ago where ``fading`` is 0.998."""


class Prequential:
    """Figures of one world, and detectors that watch its error.

    Args:
        spec: The task.
        settings: Window and fading.
    """

    def __init__(self, spec: TaskSpec, settings: StreamSettings) -> None:
        self.spec = spec
        self.fading = settings.fading
        self.n = 0
        self._watches = watches()
        self._window: deque[tuple[tuple[float, ...], tuple[float, ...]]] = deque(maxlen=settings.window)
        self._faded = _empty(spec)

    def update(self, outputs: npt.NDArray[np.float32], target: Target) -> tuple[DetectorName, ...]:
        """Judge one answer.

        Args:
            outputs: float32 (n_out,), as the head gave them before anything was learned from the target.
            target: In the layout of the kind.

        Returns:
            The detectors that signal drift.
        """
        truth, answer = self._comparable(outputs, target)
        self.n += 1
        self._window.append((truth, answer))
        if self.spec.kind == "dimensional":
            self._faded = _faded_moments(self._faded, self.fading, np.array([answer, truth]))
        else:
            self._faded *= self.fading
            self._faded[self._faded < NEGLIGIBLE] = 0
            for group, (t, p) in enumerate(zip(truth, answer, strict=True)):
                self._faded[group, int(t), int(p)] += 1
        error = self._error(truth, answer)
        return tuple(watch.name for watch in self._watches if watch.update(error))

    def report(self) -> dict[str, Any]:
        """Return the figures as JSON values.

        Returns:
            ``n``, answers judged in all; ``rolling`` and ``fading``, metric by name, both empty at first:
            ``accuracy``, ``macro_f1`` and ``kappa`` of classes; ``macro_f1`` and ``f1_LABEL`` of labels, only for
            those that occur; ``ccc`` and ``ccc_LABEL`` of dimensions; ``drift``, signals by detector.
        """
        signals = {watch.name: watch.signals for watch in self._watches}
        if not self.n:
            return {"n": 0, "rolling": {}, "fading": {}, "drift": signals}
        truths, answers = (np.array(side, dtype=np.float64) for side in zip(*self._window, strict=True))  # (n, groups)
        if self.spec.kind == "dimensional":
            rolling = self._ccc([concordance(a, t) for a, t in zip(answers.T, truths.T, strict=True)])
            fading = self._ccc(_concordances(self._faded))
        else:
            counts = _empty(self.spec)
            for group in range(len(counts)):
                np.add.at(counts[group], (truths[:, group].astype(int), answers[:, group].astype(int)), 1)
            rolling, fading = self._from_counts(counts), self._from_counts(self._faded)
        return {"n": self.n, "rolling": rolling, "fading": fading, "drift": signals}

    def grow(self, spec: TaskSpec) -> None:
        """Take in labels that come after those of now; earlier answers count as not having named them."""
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
        """Become what :meth:`state` told of."""
        self.n = state.values["n"]
        pairs = ((tuple(truth), tuple(answer)) for truth, answer in state.tensors["window"].tolist())
        self._window = deque(pairs, self._window.maxlen)
        self._faded = state.tensors["faded"].numpy().copy()
        for watch in self._watches:
            watch.load(state.part(watch.name))

    def _comparable(
        self, outputs: npt.NDArray[np.float32], target: Target
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return truth and answer as plain numbers: one class, all labels as 0 and 1, or all values."""
        if self.spec.has_classes:
            truth = target if self.spec.kind == "categorical" else target.argmax()
            return (float(truth),), (float(outputs.argmax()),)
        answer = outputs if self.spec.kind == "dimensional" else outputs > 0
        return tuple(map(float, target)), tuple(map(float, answer))

    def _error(self, truth: Iterable[float], answer: Iterable[float]) -> float:
        """Return the error of an answer, in [0, 1]: wrong, share of labels that are wrong, half the distance."""
        differences = [abs(t - a) for t, a in zip(truth, answer, strict=True)]
        if self.spec.has_classes:
            return float(differences[0] > 0)
        return sum(differences) / len(differences) / (2 if self.spec.kind == "dimensional" else 1)

    def _from_counts(self, counts: Floats) -> dict[str, float]:
        """Let River judge counts: (1, classes, classes), or (labels, 2, 2); rows are the truth."""
        matrices = [_confusion(group) for group in counts]
        if self.spec.has_classes:
            judges = CLASS_FIGURES.items()
            return {name: float(judge(cm=matrices[0]).get()) for name, judge in judges}
        occur = counts.sum(axis=(1, 2)) > counts[:, 0, 0]
        labels = zip(self.spec.labels, matrices, occur, strict=True)
        f1 = {f"f1_{label}": float(metrics.F1(cm=matrix).get()) for label, matrix, occurs in labels if occurs}
        return {"macro_f1": sum(f1.values()) / len(f1), **f1} if f1 else {}

    def _ccc(self, each: list[float]) -> dict[str, float]:
        labelled = {f"ccc_{label}": value for label, value in zip(self.spec.labels, each, strict=True)}
        return {"ccc": sum(each) / len(each), **labelled}


def _empty(spec: TaskSpec) -> Floats:
    """Return counts of nothing: (1, classes, classes), (labels, 2, 2); or moments of nothing, (6, dimensions)."""
    if spec.kind == "dimensional":
        return np.zeros((6, spec.n_out))
    return np.zeros((1, spec.n_out, spec.n_out) if spec.has_classes else (spec.n_out, 2, 2))


def _confusion(counts: Floats) -> metrics.ConfusionMatrix:
    matrix = metrics.ConfusionMatrix()
    for truth, answer in np.argwhere(counts).tolist():
        matrix.update(truth, answer, float(counts[truth, answer]))
    return matrix


def _faded_moments(moments: Floats, fading: float, pair: Floats) -> Floats:
    """Let moments fade and add one pair with weight 1, without cancellation [1].

    Args:
        moments: (6, D): weight, mean of answers, mean of truths, and the sums of squares of answers, of truths and
            of products about these means.
        fading: Factor of all earlier weights.
        pair: (2, D), answer and truth.
    """
    weight = moments[0] * fading + 1
    from_old = pair - moments[1:3]
    means = moments[1:3] + from_old / weight
    from_new = pair - means
    products = np.stack([from_old[0] * from_new[0], from_old[1] * from_new[1], from_old[0] * from_new[1]])
    return np.concatenate([weight[None], means, moments[3:] * fading + products])


def _concordances(moments: Floats) -> list[float]:
    """Return the concordance of each dimension, as :func:`ciao_stream.metrics.scores.concordance` defines it."""
    weight, answer, truth, answers, truths, products = moments
    spread = (answers + truths) / weight + (answer - truth) ** 2
    constant = (answers <= 0) | (truths <= 0)
    return [0.0 if c else float(2 * p / w / s) for c, p, w, s in zip(constant, products, weight, spread, strict=True)]
