"""Details of the predictions that a task's metrics were computed from, in a few hundred numbers for the report.

==============  ====================================================================================================
kind            details
==============  ====================================================================================================
categorical     ``confusion``: counts, n_out lists of n_out; row: the class, column: the prediction; and ``calibration``
votes           the same, against the class with most votes (the first in a tie)
multilabel      ``decisions``: counts ``[true negative, false positive, false negative, true positive]`` per label, at
                sigmoid > 0.5; and ``calibration``
dimensional     ``points``: ``of``, how many samples there are; ``target`` and ``answer``, a list of n_out values for
                each of at most :data:`POINTS` of them
==============  ====================================================================================================

``calibration`` is of :data:`BINS` bins of equal width of the confidence in [0, 1]: ``n``, predictions in each;
``confidence``, their mean confidence; ``right``, the share of them that is right; and the expected calibration error
[0], ``ece = sum_b n_b / n |right_b - confidence_b|``. The confidence in a class is its
probability. Of labels, every label of every sample is one prediction; its confidence is the label's probability, and it
is right if the label holds.

References:
    - [0] Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, ICML 2017, https://arxiv.org/abs/1706.04599
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ciao_stream.faces.task import TaskSpec
from ciao_stream.metrics.scores import Floats, judged_answers

BINS = 15
"""Bins of a reliability diagram, as in [0]."""

POINTS = 200
"""Samples that a scatter plot shows; the same ones for every strategy and seed with the same test split."""

DIGITS = 6
"""Decimals of shares, confidences and points."""


def describe_answers(
    spec: TaskSpec,
    outputs: Tensor,
    targets: Tensor | npt.NDArray[np.generic],
    groups: Tensor | npt.NDArray[np.generic] | None = None,
) -> dict[str, Any]:
    """Return the details, JSON values; the arguments are those of :func:`ciao_stream.metrics.scores.evaluate`.

    Raises:
        CiaoError: As :func:`ciao_stream.metrics.scores.evaluate`.

    >>> import torch
    >>> spec = TaskSpec("mood", "categorical", ("calm", "glad"))
    >>> describe_answers(spec, torch.tensor([[2.0, 1.0], [0.0, 3.0]]), torch.tensor([0, 0]))["confusion"]
    [[1, 1], [0, 0]]
    """
    answers, truth = judged_answers(spec, outputs, targets, groups)
    if spec.kind == "dimensional":
        return {"points": _points(answers, truth.astype(np.float64))}
    if spec.kind == "multilabel":
        present = truth.astype(np.int64) > 0
        cells = 2 * present + (answers > 0.5)
        decisions = [np.bincount(column, minlength=4).tolist() for column in cells.T]
        return {"decisions": decisions, "calibration": _calibration(answers.ravel(), present.ravel())}
    classes: npt.NDArray[Any] = truth if spec.kind == "categorical" else truth.argmax(axis=1)
    predicted = answers.argmax(axis=1)
    confusion = np.bincount(classes * spec.n_out + predicted, minlength=spec.n_out**2)
    return {
        "confusion": confusion.reshape(spec.n_out, spec.n_out).tolist(),
        "calibration": _calibration(answers.max(axis=1), predicted == classes),
    }


def detail_problems(spec: TaskSpec, details: Mapping[str, Any]) -> Iterator[str]:
    """Say what is wrong with the details of a run; nothing where they are missing."""
    if not isinstance(details, Mapping):
        yield "details are no object"
        return
    shapes = {
        "confusion": (spec.n_out, spec.n_out),
        "decisions": (spec.n_out, 4),
        "calibration": (3, BINS),
        "points": (2, -1, spec.n_out),
        "curve": None,
    }
    for name, value in details.items():
        if name not in shapes:
            yield f"unknown detail {name!r}"
            continue
        try:
            if name == "calibration":
                value = [value[part] for part in ("n", "confidence", "right")]
            elif name == "points":
                value = [value["target"], value["answer"]]
            elif name == "curve":
                value = [*value.values()]
            array, shape = np.array(value, dtype=np.float64), shapes[name]
            fits = array.ndim == 2 if shape is None else array.reshape(shape).shape == array.shape
        except (LookupError, TypeError, ValueError, AttributeError):
            fits = False
        if not fits:
            yield f"detail {name!r} has another form than that of {spec.kind} with {spec.n_out} labels"


def _points(answers: Floats, targets: Floats) -> dict[str, Any]:
    chosen = np.arange(len(answers))
    if len(chosen) > POINTS:
        chosen = np.sort(np.random.default_rng(0).choice(len(answers), POINTS, replace=False))
    return {
        "of": len(answers),
        "target": targets[chosen].round(DIGITS).tolist(),
        "answer": answers[chosen].round(DIGITS).tolist(),
    }


def _calibration(confidence: Floats, right: npt.NDArray[np.bool_]) -> dict[str, Any]:
    place = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    n = np.bincount(place, minlength=BINS)
    sums = (np.bincount(place, weights=values, minlength=BINS) for values in (confidence, right))
    sure, share = (total / np.maximum(n, 1) for total in sums)
    return {
        "n": n.tolist(),
        "confidence": [_share(value, count) for value, count in zip(sure, n, strict=True)],
        "right": [_share(value, count) for value, count in zip(share, n, strict=True)],
        "ece": round(float((n * np.abs(share - sure)).sum() / n.sum()), DIGITS),
    }


def _share(value: float, count: int | np.integer[Any]) -> float | None:
    return round(float(value), DIGITS) if count else None
