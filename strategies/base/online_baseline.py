"""The baselines of a stream (:mod:`ciao_stream.baselines`), as strategies."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ciao_stream.baselines import Baseline, make_baseline
from ciao_stream.encoders.pooling import pooled_maps
from ciao_stream.faces.task import TaskSpec
from strategies.base.online import Online
from strategies.base.sequence import Job, SplitFaces

EVAL_BATCH = 256
"""Faces per batch of evaluation."""


@dataclass
class _Learner:
    """One baseline on pooled maps."""

    baseline: Baseline

    def take(self, x: Tensor, y: Tensor) -> Tensor:
        """See :class:`strategies.base.online.OnlineModel`."""
        outputs = []
        classes = (y if y.ndim == 1 else y.argmax(dim=1)).tolist()
        for face, target in zip(pooled_maps(x).numpy(), classes, strict=True):
            outputs.append(self.baseline.outputs(face[None])[0])
            self.baseline.learn(face, target)
        return torch.from_numpy(np.stack(outputs)).float()

    def outputs(self, faces: SplitFaces) -> Tensor:
        """See :class:`strategies.base.online.OnlineModel`."""
        batches = faces("u").batches(EVAL_BATCH)
        return torch.from_numpy(np.concatenate([self.baseline.outputs(pooled_maps(x).numpy()) for x, _ in batches]))

    def size(self) -> int:
        """See :class:`strategies.base.online.OnlineModel`."""
        return sum(tensor.numel() for tensor in self.baseline.state().tensors.values())

    def sha256(self) -> str:
        """See :class:`strategies.base.online.OnlineModel`."""
        tensors = self.baseline.state().tensors
        return hashlib.sha256(b"".join(tensors[name].numpy().tobytes() for name in sorted(tensors))).hexdigest()


def online_baseline(name: str) -> Online:
    """Return the strategy that runs a baseline by its name."""

    def learner(job: Job, spec: TaskSpec, masked: bool) -> _Learner:  # noqa: ARG001
        shape = job.encoder.shapes()[1]
        n_features = pooled_maps(torch.zeros(1, *shape)).shape[1]
        return _Learner(make_baseline(name, n_features, spec.n_out))

    return Online(learner)
