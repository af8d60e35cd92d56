"""Frames that are kept until something is said about them: a bounded number, the oldest make way."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ciao_stream.runtime.state import State


@dataclass(frozen=True, eq=False)
class Held:
    """A frame and what was answered when it came.

    Args:
        z: What the last convolution works from, float16.
        outputs: float32 (n_out,).
    """

    z: Tensor
    outputs: npt.NDArray[np.float32]


class HeldFrames:
    """Frames by their id.

    Args:
        capacity: Frames at most.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._frames: OrderedDict[str, Held] = OrderedDict()

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame_id: str, held: Held) -> int:
        """Keep a frame as the newest.

        Returns:
            How many frames made way for it.
        """
        self._frames[frame_id] = held
        self._frames.move_to_end(frame_id)
        if len(self._frames) <= self.capacity:
            return 0
        self._frames.popitem(last=False)
        return 1

    def get(self, frame_id: str) -> Held | None:
        """Return a frame; None where it is not here."""
        return self._frames.get(frame_id)

    def pop(self, frame_id: str) -> Held | None:
        """Return a frame and keep it no longer; None where it is not here."""
        return self._frames.pop(frame_id, None)

    def draw(self, n: int, rng: np.random.Generator) -> Tensor | None:
        """Draw ``z`` of some frames, none twice, float16 (n, ...).

        Args:
            n: How many, >= 1; all if there are fewer.
            rng: Where the draw comes from.

        Returns:
            None where there is no frame.
        """
        frames = [*self._frames.values()]
        if not frames:
            return None
        return torch.stack([frames[i].z for i in rng.choice(len(frames), min(n, len(frames)), replace=False)])

    def grow(self, new: int) -> None:
        """Say of answers that knew ``new`` labels less that they named none of these."""
        absent = np.full(new, -np.inf, dtype=np.float32)
        for frame_id, held in self._frames.items():
            self._frames[frame_id] = Held(held.z, np.concatenate([held.outputs, absent]))

    def state(self) -> State:
        """Return what :meth:`load` needs."""
        frames = [*self._frames.values()]
        tensors = {}
        if frames:
            outputs = torch.from_numpy(np.stack([held.outputs for held in frames]))
            tensors = {"z": torch.stack([held.z for held in frames]), "outputs": outputs}
        return State({"ids": [*self._frames]}, tensors)

    def load(self, state: State) -> None:
        """Become what :meth:`state` told of."""
        ids, tensors = state.values["ids"], state.tensors
        outputs = tensors["outputs"].numpy() if ids else ()
        frames = zip(ids, tensors.get("z", ()), outputs, strict=True)
        self._frames = OrderedDict((frame_id, Held(z.clone(), row.copy())) for frame_id, z, row in frames)
