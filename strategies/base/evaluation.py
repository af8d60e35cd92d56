"""Evaluation inside Avalanche's loop, by our own metrics."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks.avalanche_home import avalanche_home
from ciao_stream.metrics.answers import describe_answers
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
    """Collects the outputs of each evaluated experience and judges them by its task's metrics.

    Metrics such as macro F1 and CCC are no means of batches: they are computed once, over the whole split.

    After ``strategy.eval(stream)``, :attr:`results` maps each task's name to its metrics, and :attr:`details` to what
    else there is to say of the same answers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.results: dict[str, dict[str, float]] = {}
        self.details: dict[str, dict[str, Any]] = {}
        self._outputs: list[Tensor] = []

    def before_eval(self, strategy: Any, **_: Any) -> None:  # noqa: ARG002
        """Forget what was evaluated before."""
        self.results = {}

    def before_eval_exp(self, strategy: Any, **_: Any) -> None:  # noqa: ARG002
        """Begin an experience."""
        self._outputs = []

    def after_eval_iteration(self, strategy: Any, **_: Any) -> None:
        """Keep the outputs of one batch."""
        self._outputs.append(strategy.mb_output.detach().cpu())

    def after_eval_exp(self, strategy: Any, **_: Any) -> None:
        """Judge the experience."""
        faces = strategy.experience.faces.faces
        judged = faces.spec, torch.cat(self._outputs).float(), faces.targets, faces.groups
        self.results[faces.spec.name] = evaluate(*judged)
        self.details[faces.spec.name] = describe_answers(*judged)
