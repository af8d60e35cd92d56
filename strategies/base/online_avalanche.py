"""Avalanche's own strategies on an online stream: one experience per micro-batch, one pass over it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from benchmarks.avalanche_home import avalanche_home
from ciao_stream.faces.task import TaskSpec
from ciao_stream.runtime.seeds import derive_seed, seeded_torch
from ciao_stream.stream.learner.settings import StreamSettings
from ciao_stream.worlds.training import make_optimizer
from ciao_stream.worlds.world import World
from strategies.base.evaluation import silent_evaluator
from strategies.base.online import MICRO_BATCH, Online
from strategies.base.sequence import Job, SplitFaces
from strategies.base.shared_head import EVAL_BATCH, SharedNet

with avalanche_home():
    from avalanche.benchmarks import CLStream, DatasetExperience
    from avalanche.benchmarks.utils import (
        ConstantSequence,
        DataAttribute,
        TaskAwareSupervisedClassificationDataset,
        TaskLabels,
    )
    from avalanche.training import Naive
    from avalanche.training.plugins import ReplayPlugin
    from avalanche.training.storage_policy import ReservoirSamplingBuffer

MEMORY = StreamSettings().replay_capacity
"""Samples that a memory holds, as many as that of the streaming learner."""

REHEARSED = int(StreamSettings().replay_ratio) * MICRO_BATCH
"""Samples from the memory in each step, as many as in those of the streaming learner."""


@dataclass
class _Learner:
    """A world of a task with classes that one of Avalanche's strategies trains."""

    net: SharedNet
    strategy: Any
    seed: int
    experiences: int = 0

    def take(self, x: Tensor, y: Tensor) -> Tensor:
        """Predict, then learn; Avalanche's rehearsal draws from torch's generator."""
        outputs = self._answer(x)
        classes = y if y.ndim == 1 else y.argmax(dim=1)
        if len(x) > 1:  # batch normalisation has no variance of one sample
            with seeded_torch(self.seed, "experience", self.experiences):
                for experience in CLStream("online", [self._experience(x, classes)]):
                    self.strategy.train(experience, eval_streams=[])
        self.experiences += 1
        return outputs

    def outputs(self, faces: SplitFaces) -> Tensor:
        return torch.cat([self._answer(x) for x, _ in faces(self.net.world.level).batches(EVAL_BATCH)])

    def size(self) -> int:
        return self.net.world.parameter_count()

    def sha256(self) -> str:
        return self.net.world.sha256()

    def _answer(self, x: Tensor) -> Tensor:
        self.net.eval()
        with torch.no_grad():
            outputs: Tensor = self.net(x.to(self.net.world.device)).cpu()
        return outputs

    def _experience(self, x: Tensor, classes: Tensor) -> Any:
        attributes = [DataAttribute(classes.tolist(), "targets"), TaskLabels(ConstantSequence(0, len(x)))]
        data = TaskAwareSupervisedClassificationDataset([TensorDataset(x, classes)], data_attributes=attributes)
        experience = DatasetExperience(dataset=data, current_experience=self.experiences)
        experience.task_label, experience.task_labels = 0, [0]
        return experience


def online_avalanche(make: Callable[..., Any]) -> Online:
    """Return the strategy that runs one of Avalanche's online.

    Args:
        make: Builds the Avalanche strategy from keyword arguments common to all of them.
    """

    def learner(job: Job, spec: TaskSpec, masked: bool) -> _Learner:
        settings, seed = job.settings[spec.name], derive_seed(job.seed, spec.name)
        classes = TaskSpec(spec.name, "categorical", spec.labels)
        net = SharedNet(World(classes, job.encoder, "dl", masked, settings, seed).to(job.encoder.device))
        strategy = make(
            model=net,
            optimizer=make_optimizer([*net.parameters()], settings),
            criterion=nn.CrossEntropyLoss(),
            train_mb_size=MICRO_BATCH,
            train_epochs=1,
            eval_mb_size=EVAL_BATCH,
            device=net.world.device,
            plugins=[],
            evaluator=silent_evaluator,
        )
        return _Learner(net, strategy, seed)

    return Online(learner, masks=True)


class Reservoir(ReservoirSamplingBuffer):
    """Keeps a uniform sample of the stream; its own ``update`` calls a deprecated function, which warns."""

    def update(self, strategy: Any, **_: Any) -> None:
        """Take samples of the experience that was just learned."""
        self.post_adapt(strategy, strategy.experience)


def reservoir_replay(plugins: list[Any], **common: Any) -> Any:
    """Build ``Naive`` with Avalanche's plugin for replay and as large a memory as the streaming learner's."""
    plugin = ReplayPlugin(MEMORY, batch_size_mem=REHEARSED, storage_policy=Reservoir(MEMORY))
    return Naive(plugins=[*plugins, plugin], **common)
