"""Baselines that learn from the same labelled frames as a world, and their prequential metrics.

They predict when the label comes. If it is late, they have learned more by then than the world, which predicted when
the frame came. They learn first labels only, not corrections, because none of them can unlearn a sample.
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


class WorldBaselines:
    """The baselines of one world, on the pooled output of the encoder's last convolution.

    Args:
        spec: The task; only tasks with classes have baselines.
        encoder: The world's encoder.
        settings: Which baselines; window and fading of their metrics.
    """

    def __init__(self, spec: TaskSpec, encoder: Encoder, settings: StreamSettings) -> None:
        names = settings.baselines if spec.has_classes else ()
        n_features = pooled_maps(torch.zeros(1, *encoder.shapes()[1])).shape[1] if names else 0
        self._encoder = encoder
        self._learners: dict[str, Baseline] = {name: make_baseline(name, n_features, spec.n_out) for name in names}
        self._metrics = {name: Prequential(spec, settings) for name in names}

    def learn(self, z: Tensor, target: Target) -> None:
        """Let each baseline predict one face, evaluate the prediction, then learn the target.

        Args:
            z: Output of the encoder's trunk, float16, without a batch dimension.
            target: In the layout of the task's kind.
        """
        if not self._learners:
            return
        u = self._encoder.stored_u(z[None].to(self._encoder.device)).float().cpu()
        face = pooled_maps(u).numpy()[0]
        for name, learner in self._learners.items():
            self._metrics[name].update(learner.outputs(face[None])[0].astype(np.float32), target)
            learner.learn(face, int(target if target.ndim == 0 else target.argmax()))

    def report(self) -> dict[str, Any]:
        """Return the metrics of each baseline as JSON values."""
        return {name: metrics.report() for name, metrics in self._metrics.items()}

    def grow(self, spec: TaskSpec) -> None:
        """Append classes to the task."""
        for name, learner in self._learners.items():
            learner.n_classes = spec.n_out
            self._metrics[name].grow(spec)

    def forget_faces(self) -> None:
        """Learn all buffered faces, so that no single face is kept."""
        for learner in self._learners.values():
            learner.settle()

    def state(self) -> State:
        """Return what :meth:`load` needs."""
        learners = {f"learner-{name}": learner.state() for name, learner in self._learners.items()}
        metrics = {f"figures-{name}": metrics.state() for name, metrics in self._metrics.items()}
        return State.of({}, {}, learners | metrics)

    def load(self, state: State) -> None:
        """Restore what :meth:`state` returned.

        Raises:
            CiaoError: The state is of other baselines.
        """
        found = {part.removeprefix("learner-") for part in state.values if part.startswith("learner-")}
        if found != self._learners.keys():
            expected, got = (", ".join(sorted(names)) or "none" for names in (self._learners, found))
            raise CiaoError(f"expected the state of baselines {expected} but got that of {got}")
        for name, learner in self._learners.items():
            learner.load(state.part(f"learner-{name}"))
            self._metrics[name].load(state.part(f"figures-{name}"))
