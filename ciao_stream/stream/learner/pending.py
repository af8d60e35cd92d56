"""Frames kept for a label that comes later: a bounded buffer that evicts the oldest frame."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ciao_stream.runtime.state import State


@dataclass(frozen=True, eq=False)
class PredictedFrame:
    """A frame and its prediction.

    Args:
        z: Output of the encoder's trunk, float16.
        outputs: float32 (n_out,), what the world predicted when the frame came.
    """

    z: Tensor
    outputs: npt.NDArray[np.float32]


class FrameBuffer:
    """Frames by their id.

    Args:
        capacity: Maximum number of frames.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._frames: OrderedDict[str, PredictedFrame] = OrderedDict()

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame_id: str, frame: PredictedFrame) -> int:
        """Add a frame as the newest.

        Returns:
            How many frames were evicted.
        """
        self._frames[frame_id] = frame
        self._frames.move_to_end(frame_id)
        if len(self._frames) <= self.capacity:
            return 0
        self._frames.popitem(last=False)
        return 1

    def get(self, frame_id: str) -> PredictedFrame | None:
        """Return a frame, or None."""
        return self._frames.get(frame_id)

    def pop(self, frame_id: str) -> PredictedFrame | None:
        """Remove and return a frame, or return None."""
        return self._frames.pop(frame_id, None)

    def grow(self, new: int) -> None:
        """Append ``new`` labels to the outputs: none of them predicted."""
        absent = np.full(new, -np.inf, dtype=np.float32)
        for frame_id, frame in self._frames.items():
            self._frames[frame_id] = PredictedFrame(frame.z, np.concatenate([frame.outputs, absent]))

    def state(self) -> State:
        """Return what :meth:`load` needs."""
        frames = [*self._frames.values()]
        tensors = {}
        if frames:
            outputs = torch.from_numpy(np.stack([frame.outputs for frame in frames]))
            tensors = {"z": torch.stack([frame.z for frame in frames]), "outputs": outputs}
        return State({"ids": [*self._frames]}, tensors)

    def load(self, state: State) -> None:
        """Restore what :meth:`state` returned."""
        ids, tensors = state.values["ids"], state.tensors
        outputs = tensors["outputs"].numpy() if ids else ()
        frames = zip(ids, tensors.get("z", ()), outputs, strict=True)
        self._frames = OrderedDict((frame_id, PredictedFrame(z.clone(), row.copy())) for frame_id, z, row in frames)
