"""Baselines that read a world's labelled frames beside it, and how well they do: test, then train, as the world does.

They answer when the label comes, so that of a label that is late they know more than the world knew, which answered
when the frame came; they learn first labels alone, as none of them can take back what it has learned.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ciao_stream.baselines import Baseline, make_baseline
from ciao_stream.encoders.base import Encoder
from ciao_stream.encoders.pooling import pooled_maps
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.task import TaskSpec
from ciao_stream.runtime.state import State
from ciao_stream.stream.learner.prequential import Prequential
from ciao_stream.stream.learner.settings import StreamSettings
from ciao_stream.stream.log.labels import Target


class Beside:
    """The baselines of one world, on the pooled output of the encoder's last convolution.

    Args:
        spec: The task.
        encoder: What the world stands on.
        settings: Which baselines; how figures are had.
    """

    def __init__(self, spec: TaskSpec, encoder: Encoder, settings: StreamSettings) -> None:
        names = settings.baselines if spec.has_classes else ()
        n_features = pooled_maps(torch.zeros(1, *encoder.shapes()[1])).shape[1] if names else 0
        self._encoder = encoder
        self._learners: dict[str, Baseline] = {name: make_baseline(name, n_features, spec.n_out) for name in names}
        self._figures = {name: Prequential(spec, settings) for name in names}

    def learn(self, z: Tensor, target: Target) -> None:
        """Let all answer one face, judge the answers, and let them learn.

        Args:
            z: What the last convolution works from, float16, without a batch dimension.
            target: In the layout of the task's kind.
        """
        if not self._learners:
            return
        u = self._encoder.stored_u(z[None].to(self._encoder.device)).float().cpu()
        face = pooled_maps(u).numpy()[0]
        for name, learner in self._learners.items():
            self._figures[name].update(learner.outputs(face[None])[0].astype(np.float32), target)
            learner.learn(face, int(target if target.ndim == 0 else target.argmax()))

    def report(self) -> dict[str, Any]:
        """Return the figures of each baseline as JSON values."""
        return {name: figures.report() for name, figures in self._figures.items()}

    def grow(self, spec: TaskSpec) -> None:
        """Take in classes that come after those of now."""
        for name, learner in self._learners.items():
            learner.n_classes = spec.n_out
            self._figures[name].grow(spec)

    def forget_faces(self) -> None:
        """Keep no single face."""
        for learner in self._learners.values():
            learner.settle()

    def state(self) -> State:
        """Return what :meth:`load` needs."""
        learners = {f"learner-{name}": learner.state() for name, learner in self._learners.items()}
        figures = {f"figures-{name}": figures.state() for name, figures in self._figures.items()}
        return State.of({}, {}, learners | figures)

    def load(self, state: State) -> None:
        """Become what :meth:`state` told of.

        Raises:
            CiaoError: It told of other baselines.
        """
        told = {part.removeprefix("learner-") for part in state.values if part.startswith("learner-")}
        if told != self._learners.keys():
            raise CiaoError(f"the state is that of baselines {', '.join(sorted(told)) or 'none'}")
        for name, learner in self._learners.items():
            learner.load(state.part(f"learner-{name}"))
            self._figures[name].load(state.part(f"figures-{name}"))
