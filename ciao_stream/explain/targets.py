"""What is explained of a world's output: one number per face, for every kind of target."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ciao_stream.exceptions import UnknownNameError
from ciao_stream.faces.task import TaskSpec


@dataclass(frozen=True, eq=False)
class Target:
    """One output of each face of a batch.

    Args:
        spec: The task.
        index: int64 (B,), the output.
        sign: float32 (B,), 1 or -1: explain what raises the output, or what lowers it.
    """

    spec: TaskSpec
    index: Tensor
    sign: Tensor

    def scores(self, outputs: Tensor) -> Tensor:
        """Return what is differentiated, (B,): the logit; of arousal or valence the value, towards its own sign."""
        return self.sign.to(outputs) * outputs.gather(1, self.index.to(outputs.device)[:, None])[:, 0]

    def confidence(self, outputs: Tensor) -> Tensor:
        """Return the confidence of outputs (B, n_out) in it, (B,) in [0, 1].

        The probability of the class or of the label; of a dimension ``(1 + sign * value) / 2``.
        """
        if self.spec.kind == "dimensional":
            return (1 + self.scores(outputs)) / 2
        shares = outputs.sigmoid() if self.spec.kind == "multilabel" else outputs.softmax(dim=1)
        return shares.gather(1, self.index.to(outputs.device)[:, None])[:, 0]

    def take(self, chosen: list[int] | slice) -> Target:
        """Return those of some faces."""
        return Target(self.spec, self.index[chosen], self.sign[chosen])

    def words(self, outputs: Tensor) -> list[str]:
        """Say of each face what is explained, in a few words: ``happiness 93 %``, ``valence -0.40``."""
        labels = [self.spec.labels[i] for i in self.index.tolist()]
        if self.spec.kind == "dimensional":
            values = outputs.gather(1, self.index[:, None])[:, 0].tolist()
            return [f"{label} {value:+.2f}" for label, value in zip(labels, values, strict=True)]
        shares = self.confidence(outputs).tolist()
        return [f"{label} {100 * share:.0f} %" for label, share in zip(labels, shares, strict=True)]


def answered(spec: TaskSpec, outputs: Tensor, label: str | None = None) -> Target:
    """Return the prediction of a world, or a given label whatever it predicted.

    Args:
        spec: The task.
        outputs: (B, n_out).
        label: One of the task's labels, the same for every face. None: the prediction of each face, which is the most
            probable class or label, or the dimension that is farthest from 0.

    Raises:
        UnknownNameError: The task has no such label.
    """
    if label is not None and label not in spec.labels:
        raise UnknownNameError(f"label of task {spec.name!r}", label, spec.labels)
    dimensional = spec.kind == "dimensional"
    if label is None:
        index = (outputs.abs() if dimensional else outputs).argmax(dim=1)
    else:
        index = torch.full((len(outputs),), spec.labels.index(label))
    value = outputs.gather(1, index[:, None])[:, 0]
    sign = torch.where(value < 0, -1.0, 1.0) if dimensional else torch.ones(len(outputs))
    return Target(spec, index, sign)


def questions(spec: TaskSpec) -> list[str | None]:
    """Return what is explained by default: the prediction, or each dimension."""
    return [*spec.labels] if spec.kind == "dimensional" else [None]
