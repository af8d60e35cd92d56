"""The streaming learner's own world as an online strategy."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ciao_stream.faces.task import TaskSpec
from ciao_stream.stream.learner.settings import StreamSettings
from ciao_stream.stream.learner.world import OnlineWorld
from ciao_stream.worlds.settings import PRESETS
from strategies.base.online import Online
from strategies.base.sequence import Job, SplitFaces


@dataclass
class _Learner:
    """One online world, with frames that are named by their place in the stream."""

    online: OnlineWorld
    frames: int = 0

    def take(self, x: Tensor, y: Tensor) -> Tensor:
        """See :class:`strategies.base.online.OnlineModel`."""
        outputs = []
        for z, target in zip(x.half(), y.numpy(), strict=True):
            heard = self.online.frame(str(self.frames), z, target)
            self.online.learn()
            self.frames += 1
            outputs.append(torch.from_numpy(heard.outputs))
        return torch.stack(outputs)

    def outputs(self, faces: SplitFaces) -> Tensor:
        """See :class:`strategies.base.online.OnlineModel`."""
        return self.online.world.predict_split(faces(self.online.world.level))

    def size(self) -> int:
        """See :class:`strategies.base.online.OnlineModel`."""
        return self.online.world.parameter_count()

    def sha256(self) -> str:
        """See :class:`strategies.base.online.OnlineModel`."""
        return self.online.world.sha256()


def _make(job: Job, spec: TaskSpec, masked: bool) -> _Learner:
    settings = StreamSettings(masked=masked)
    return _Learner(OnlineWorld.fresh(spec, job.encoder, settings, PRESETS["online"], job.seed))


ONLINE_WORLD = Online(_make, reads="z", also_reads=("u",), masks=True, only_classes=False)
