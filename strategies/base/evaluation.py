"""Evaluation inside Avalanche's loop, by our own metrics."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks.avalanche_home import avalanche_home
from ciao_stream.faces.dataset import FaceDataset
from ciao_stream.metrics.scores import evaluate

with avalanche_home():
    from avalanche.core import SupervisedPlugin
    from avalanche.logging import BaseLogger
    from avalanche.training.plugins import EvaluationPlugin


class SilentLogger(BaseLogger):
    """A logger that keeps quiet; without any, Avalanche warns on every run."""

    def log_single_metric(self, name: str, value: Any, x_plot: int) -> None:
        """Log nothing."""


def silent_evaluator() -> EvaluationPlugin:
    """Return an Avalanche evaluator that computes, keeps and prints nothing."""
    return EvaluationPlugin(loggers=[SilentLogger()], collect_all=False)


class TaskMetrics(SupervisedPlugin):
    """Collects the outputs of each evaluated experience, and computes the metrics of its task's kind from them.

    Metrics such as macro F1 and CCC are not means over batches: they are computed once, over the whole split.

    After ``strategy.eval(stream)``, :attr:`outputs` holds the outputs (N, n_out) of each task of the stream, by name.
    """

    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[str, Tensor] = {}
        self._faces: dict[str, FaceDataset] = {}
        self._batches: list[Tensor] = []

    @property
    def results(self) -> dict[str, dict[str, float]]:
        """The metrics of each task of the stream, by name."""
        judged = {name: (faces, self.outputs[name]) for name, faces in self._faces.items()}
        return {name: evaluate(f.spec, outputs, f.targets, f.groups) for name, (f, outputs) in judged.items()}

    def before_eval(self, strategy: Any, **_: Any) -> None:  # noqa: ARG002
        """Drop what was evaluated before."""
        self.outputs, self._faces = {}, {}

    def before_eval_exp(self, strategy: Any, **_: Any) -> None:  # noqa: ARG002
        """Begin an experience."""
        self._batches = []

    def after_eval_iteration(self, strategy: Any, **_: Any) -> None:
        """Keep the outputs of one batch."""
        self._batches.append(strategy.mb_output.detach().cpu())

    def after_eval_exp(self, strategy: Any, **_: Any) -> None:
        """Put the outputs of an experience together."""
        faces = strategy.experience.faces.faces
        self.outputs[faces.spec.name] = torch.cat(self._batches).float()
        self._faces[faces.spec.name] = faces
