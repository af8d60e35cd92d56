"""Conversion between labels by name, as in messages, and targets by index, as in training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ciao_stream.exceptions import did_you_mean
from ciao_stream.faces.task import Kind, TaskSpec
from ciao_stream.stream.log.events import Label
from ciao_stream.stream.log.refusals import BadMessage, Reason

Target = npt.NDArray[np.int64] | npt.NDArray[np.float32]
"""One sample's row in the layout of :data:`ciao_stream.faces.task.Kind`: int64 () or float32 (n_out,)."""

SHARE_TOLERANCE = 1e-4
"""Votes whose sum is this close to 1 are shares already, and are kept to the bit."""

_EXPECTED: dict[Kind, str] = {
    "categorical": "the name of one class",
    "votes": "votes by class",
    "dimensional": "a value by dimension",
    "multilabel": "a list of the labels that are present",
}


def label_target(spec: TaskSpec, label: Label) -> Target:
    """Convert a label to a target.

    Args:
        spec: The task.
        label: A class (categorical), votes by class (votes: counts or shares, >= 0, 0 if missing), a value in [-1, 1]
            for every dimension (dimensional), or the labels that are present, possibly none (multilabel).

    Returns:
        int64 () for a class, else float32 (n_out,).

    Raises:
        BadMessage: ``wrong_kind`` or ``bad_label``.

    >>> label_target(TaskSpec("fer", "categorical", ("anger", "fear")), "fear")
    array(1)
    >>> label_target(TaskSpec("va", "dimensional", ("arousal", "valence")), {"valence": 0.5, "arousal": -1})
    array([-1. ,  0.5], dtype=float32)
    """
    if spec.kind == "categorical":
        if not isinstance(label, str):
            raise _wrong_kind(spec, label)
        return np.array(_indices(spec, [label])[0], dtype=np.int64)
    values = np.zeros(spec.n_out, dtype=np.float64)
    if spec.kind == "multilabel":
        if isinstance(label, str | Mapping) or not isinstance(label, Sequence):
            raise _wrong_kind(spec, label)
        values[_indices(spec, label)] = 1
        return values.astype(np.float32)
    if not isinstance(label, Mapping):
        raise _wrong_kind(spec, label)
    values[_indices(spec, label)] = [_number(spec, name, value) for name, value in label.items()]
    return (_shares(spec, values) if spec.kind == "votes" else _dimensions(spec, label, values)).astype(np.float32)


def target_label(spec: TaskSpec, target: npt.NDArray[np.generic]) -> Label:
    """Convert a target to a label; :func:`label_target` is its exact inverse.

    Args:
        spec: The task.
        target: () for a class, else (n_out,).

    >>> target_label(TaskSpec("fer", "votes", ("anger", "fear")), np.array([0.0, 1.0], dtype=np.float32))
    {'fear': 1.0}
    """
    if spec.kind == "categorical":
        return spec.labels[int(target)]  # type: ignore[call-overload]
    pairs = [(name, float(value)) for name, value in zip(spec.labels, target, strict=True)]  # type: ignore[arg-type]
    if spec.kind == "multilabel":
        return tuple(name for name, value in pairs if value)
    return {name: value for name, value in pairs if value or spec.kind == "dimensional"}


def _indices(spec: TaskSpec, names: Iterable[Any]) -> list[int]:
    """Return the index of each name; each must be known and given once."""
    indices: list[int] = []
    for name in names:
        if not isinstance(name, str):
            raise _wrong_kind(spec, name)
        if name not in spec.labels:
            hint = did_you_mean(name[:100], spec.labels)
            known = ", ".join(spec.labels)
            raise BadMessage(
                Reason.BAD_LABEL,
                f"task {spec.name!r} has no label {name[:50]!r}: {hint and hint + ' '}(its labels: {known})",
            )
        indices.append(spec.labels.index(name))
    if len(set(indices)) != len(indices):
        raise BadMessage(Reason.BAD_LABEL, f"task {spec.name!r}: a label is given twice")
    return indices


def _number(spec: TaskSpec, name: str, value: object) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise _wrong_kind(spec, value)
    least, most = (0.0, 1e9) if spec.kind == "votes" else (-1.0, 1.0)
    if not least <= value <= most:  # false for NaN
        wanted = "a number >= 0" if spec.kind == "votes" else "a value in [-1, 1]"
        raise BadMessage(Reason.BAD_LABEL, f"task {spec.name!r}, {name!r}: expected {wanted} but got {value!r:.30}")
    return float(value)


def _shares(spec: TaskSpec, votes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    total = math.fsum(votes)
    if total <= 0:
        raise BadMessage(Reason.BAD_LABEL, f"task {spec.name!r}: expected at least one vote but got none")
    return votes if abs(total - 1) <= SHARE_TOLERANCE else votes / total


def _dimensions(spec: TaskSpec, label: Mapping[str, float], values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if missing := [name for name in spec.labels if name not in label]:
        raise BadMessage(Reason.BAD_LABEL, f"task {spec.name!r}: no value for {', '.join(missing)}")
    return values


def _wrong_kind(spec: TaskSpec, label: object) -> BadMessage:
    got = f"{type(label).__name__} {label!r:.60}"
    return BadMessage(
        Reason.WRONG_KIND, f"task {spec.name!r} is {spec.kind}: expected {_EXPECTED[spec.kind]} but got {got}"
    )
