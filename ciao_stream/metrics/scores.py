"""Metrics of the raw outputs of a head, by the kind of the task; higher is better for every primary metric."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit, softmax
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from torch import Tensor

from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import out_of_range
from ciao_stream.faces.task import TaskSpec
from ciao_stream.runtime.expect import expect

Floats = npt.NDArray[np.float64]


def evaluate(
    spec: TaskSpec,
    outputs: Tensor,
    targets: Tensor | npt.NDArray[np.generic],
    groups: Tensor | npt.NDArray[np.generic] | None = None,
) -> dict[str, float]:
    """Judge the outputs of a head.

    ============  =============================================================================================
    kind          metrics
    ============  =============================================================================================
    categorical   ``accuracy``; ``macro_f1`` over the classes that occur in the targets or the predictions
    votes         the same against the class with most votes (the first in a tie); ``kl``, the mean divergence
                  KL(votes || softmax) in nats (lower is better)
    dimensional   ``ccc_LABEL`` (:func:`concordance`) and ``rmse_LABEL``; ``ccc`` and ``rmse``, their means
    multilabel    ``f1_LABEL`` of sigmoid > 0.5, NaN for a label that occurs neither in the targets nor in the
                  predictions; ``macro_f1``, the mean of the others; ``roc_auc``, the mean over the labels that
                  have both values in the targets, NaN where there is none
    ============  =============================================================================================

    Everything is computed in float64 on the CPU, over all samples at once: none of these is a mean of batches.

    Args:
        spec: The task; its ``primary`` is always among the metrics.
        outputs: float (N, n_out), as the head gives them: logits; for dimensional tasks values in [-1, 1].
        targets: (N,) or (N, n_out), in the layout that :data:`ciao_stream.faces.task.Kind` gives for the kind.
        groups: int (N,) or None. Samples of one group (the frames of a clip) become one sample: the mean of
            their softmax (categorical, votes), sigmoid (multilabel) or values (dimensional). Groups weigh
            alike, however many samples they have.

    Returns:
        Metric by name. Values are finite unless stated otherwise above.

    Raises:
        CiaoError: An output is not finite, a target is out of range, shapes do not fit, or targets within a group
            differ.

    >>> spec = TaskSpec("mood", "categorical", ("calm", "glad"))
    >>> evaluate(spec, torch.tensor([[2.0, 1.0], [0.0, 3.0]]), torch.tensor([0, 0]))["accuracy"]
    0.5
    """
    answers, truth = judged_answers(spec, outputs, targets, groups)
    if spec.kind == "dimensional":
        return _dimensional(spec, answers, truth.astype(np.float64))
    if spec.kind == "multilabel":
        return _multilabel(spec, answers, truth.astype(np.int64))
    metrics = _classes(answers, truth if spec.kind == "categorical" else truth.argmax(axis=1))
    if spec.kind == "votes":
        metrics["kl"] = _divergence(answers, truth.astype(np.float64))
    return metrics


def judged_answers(
    spec: TaskSpec,
    outputs: Tensor,
    targets: Tensor | npt.NDArray[np.generic],
    groups: Tensor | npt.NDArray[np.generic] | None = None,
) -> tuple[Floats, npt.NDArray[np.generic]]:
    """Return predictions and targets: one per sample, or one per group if there are groups.

    Args:
        spec: The task.
        outputs: As for :func:`evaluate`.
        targets: As for :func:`evaluate`.
        groups: As for :func:`evaluate`.

    Returns:
        Probabilities, or values of dimensional tasks, float64 (n, n_out); and the targets of the same n, in the layout
        of the kind.

    Raises:
        CiaoError: As :func:`evaluate`.
    """
    expect("spec", spec, TaskSpec)
    expect("outputs", outputs, Tensor)
    raw = outputs.detach().to("cpu", torch.float64).numpy()
    truth = _array(targets)
    _check(spec, raw, truth)
    answers = _answers(spec, raw)
    return (answers, truth) if groups is None else _merge(spec, answers, truth, _array(groups))


def strict(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Return metrics as strict JSON has them: what is undefined as null.

    >>> strict({"accuracy": 0.5, "roc_auc": float("nan")})
    {'accuracy': 0.5, 'roc_auc': None}
    """
    return {name: None if math.isnan(value) else float(value) for name, value in metrics.items()}


def concordance(predictions: Floats, targets: Floats) -> float:
    """Concordance correlation coefficient of two float64 (N,) arrays, in [-1, 1].

    Lin, *A concordance correlation coefficient to evaluate reproducibility*, Biometrics 45 (1989), eq. 1, with
    moments over N::

        ccc = 2 cov(x, y) / (var(x) + var(y) + (mean(x) - mean(y))**2)

    It is 0 when either side is constant (one sample included): there is nothing that could agree.

    >>> concordance(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    1.0
    """
    if np.ptp(predictions) == 0 or np.ptp(targets) == 0:
        return 0.0
    x, y = predictions - predictions.mean(), targets - targets.mean()
    shift = predictions.mean() - targets.mean()
    return float(2 * np.mean(x * y) / (np.mean(x * x) + np.mean(y * y) + shift**2))


def _array(values: Tensor | npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _check(spec: TaskSpec, outputs: Floats, targets: npt.NDArray[np.generic]) -> None:
    """Refuse outputs and targets that cannot be judged."""
    if outputs.ndim != 2 or outputs.shape[1] != spec.n_out or len(outputs) == 0:
        raise CiaoError(f"task {spec.name!r}: expected outputs of shape (N, {spec.n_out}) but got {outputs.shape}")
    shape = outputs.shape[:1] if spec.kind == "categorical" else outputs.shape
    if targets.shape != shape:
        raise CiaoError(f"task {spec.name!r}: expected targets of shape {shape} but got {targets.shape}")
    if problem := out_of_range(spec, targets):
        raise CiaoError(f"task {spec.name!r}: targets: {problem}")
    bad: npt.NDArray[np.bool_] = np.any(~np.isfinite(outputs), axis=1)
    if bad.any():
        raise CiaoError(
            f"task {spec.name!r}: {bad.sum()} of {len(bad)} outputs are not finite (first: sample {bad.argmax()}); "
            "training diverged: lower the learning rate"
        )


def _answers(spec: TaskSpec, outputs: Floats) -> Floats:
    """Turn raw outputs (N, n_out) into probabilities, or values for dimensional tasks."""
    if spec.kind == "dimensional":
        return outputs
    answers: Floats = expit(outputs) if spec.kind == "multilabel" else softmax(outputs, axis=1)
    return answers


def _merge(
    spec: TaskSpec, answers: Floats, targets: npt.NDArray[np.generic], groups: npt.NDArray[np.generic]
) -> tuple[Floats, npt.NDArray[np.generic]]:
    """Average the predictions within each group; the order is that of the sorted group numbers."""
    if groups.shape != answers.shape[:1]:
        raise CiaoError(f"task {spec.name!r}: expected groups of shape {answers.shape[:1]} but got {groups.shape}")
    names, first, member = np.unique(groups, return_index=True, return_inverse=True)
    differs: npt.NDArray[np.bool_] = (targets != targets[first][member]).reshape(len(targets), -1).any(axis=1)
    if differs.any():
        raise CiaoError(
            f"task {spec.name!r}: targets differ within group {groups[differs.argmax()]}; "
            "samples of one group are judged as one and need the same target"
        )
    sums = np.zeros((len(names), answers.shape[1]))
    np.add.at(sums, member, answers)
    return sums / np.bincount(member)[:, None], targets[first]


def _classes(probabilities: Floats, classes: npt.NDArray[np.generic]) -> dict[str, float]:
    predicted = probabilities.argmax(axis=1)
    return {
        "accuracy": float(accuracy_score(classes, predicted)),
        "macro_f1": float(f1_score(classes, predicted, average="macro", zero_division=0)),
    }


def _divergence(probabilities: Floats, votes: Floats) -> float:
    """Mean KL(votes || probabilities) in nats; a probability of 0 counts as the smallest float64."""
    floor = np.finfo(np.float64).tiny
    ratio = np.log(np.maximum(votes, floor)) - np.log(np.maximum(probabilities, floor))
    return float((votes * ratio).sum(axis=1).mean())


def _dimensional(spec: TaskSpec, values: Floats, targets: Floats) -> dict[str, float]:
    ccc = [concordance(values[:, k], targets[:, k]) for k in range(spec.n_out)]
    rmse = np.sqrt(np.mean((values - targets) ** 2, axis=0))
    metrics = {"ccc": float(np.mean(ccc)), "rmse": float(rmse.mean())}
    for k, label in enumerate(spec.labels):
        metrics |= {f"ccc_{label}": ccc[k], f"rmse_{label}": float(rmse[k])}
    return metrics


def _multilabel(spec: TaskSpec, probabilities: Floats, targets: npt.NDArray[np.int64]) -> dict[str, float]:
    predicted = probabilities > 0.5
    # One column at a time: for a single label sklearn would take the matrix for binary classes.
    f1 = [float(f1_score(t, p, zero_division=np.nan)) for t, p in zip(targets.T, predicted.T, strict=True)]
    auc = [roc_auc_score(t, p) for t, p in zip(targets.T, probabilities.T, strict=True) if np.ptp(t)]
    return {"macro_f1": _mean([score for score in f1 if score == score]), "roc_auc": _mean(auc)} | {
        f"f1_{label}": score for label, score in zip(spec.labels, f1, strict=True)
    }


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
