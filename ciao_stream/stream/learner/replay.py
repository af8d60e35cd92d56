"""Replay memory: encoded labelled faces of bounded number, mixed into every step.

For tasks with classes the memory is class-balanced (CBRS [0]): until it is full it takes every sample. Then a sample of
a class that has never been the largest since the memory was full replaces a random one of the largest class; a sample
of another class replaces one of its own class with probability kept / seen. Other kinds of target use plain reservoir
sampling [1], which keeps every sample seen with the same probability.

Every draw is seeded by the number of earlier ones, so no generator state has to be saved.

References:
    - [0] Chrysakis, Moens: Online Continual Learning from Imbalanced Data, ICML 2020 (Algorithm 1)
    - [1] Vitter: Random Sampling with a Reservoir, ACM TOMS 11, 1985 (Algorithm R)
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.task import TaskSpec
from ciao_stream.runtime.seeds import numpy_generator
from ciao_stream.runtime.state import State
from ciao_stream.stream.log.labels import Target


@dataclass(frozen=True, eq=False)
class Sample:
    """A face to learn from.

    Args:
        frame_id: Unique among all frames.
        z: Output of the encoder's trunk, float16.
        target: In the layout of the task's kind.
    """

    frame_id: str
    z: Tensor
    target: Target


def stack(samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
    """Return ``z``, float16 (N, ...), and the targets of N >= 1 samples in the layout of their kind."""
    return torch.stack([s.z for s in samples]), torch.from_numpy(np.stack([s.target for s in samples]))


def require_room(capacity: int, z_shape: Sequence[int]) -> None:
    """Refuse a replay memory larger than the memory of this machine.

    Args:
        capacity: Maximum number of samples.
        z_shape: Shape of ``z``.

    Raises:
        CiaoError: It is larger.
    """
    wanted = capacity * math.prod(z_shape) * torch.float16.itemsize
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if wanted > available:
        raise CiaoError(
            f"replay_capacity: {capacity:,} faces of this encoder take {wanted / 2**30:,.0f} GiB, but this machine "
            f"has {available / 2**30:,.0f}: choose a smaller capacity"
        )


class Replay:
    """The replay memory of one world.

    Args:
        spec: The task.
        capacity: Maximum number of samples.
        z_shape: Shape of ``z``.
        seed: Of the run.

    Attributes:
        seen: Number of samples of each class offered so far, int64 (n_out,); zeros if the task has no classes.
    """

    def __init__(self, spec: TaskSpec, capacity: int, z_shape: Sequence[int], seed: int) -> None:
        self.spec = spec
        self.capacity = capacity
        self._seed = seed
        self._z = torch.zeros(capacity, *z_shape, dtype=torch.float16)
        self._targets: npt.NDArray[Any] = np.zeros(*_layout(spec, capacity))
        self._ids: list[str] = []
        self._slots: dict[str, int] = {}
        self._offers = 0
        self._passed = 0
        self.seen = np.zeros(spec.n_out, dtype=np.int64)
        self._been_largest = np.zeros(spec.n_out, dtype=bool)

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def kept(self) -> npt.NDArray[np.int64]:
        """Number of samples of each class in the memory, (K,)."""
        return np.bincount(self._classes(), minlength=self.spec.n_out)

    def get(self, frame_id: str) -> Sample | None:
        """Return a copy of a frame's sample, or None."""
        slot = self._slots.get(frame_id)
        return None if slot is None else Sample(frame_id, self._z[slot].clone(), np.array(self._targets[slot]))

    def counts(self) -> dict[str, int]:
        """Return the number of samples by label; for dimensional tasks, the total."""
        kept = self._targets[: len(self)]
        if self.spec.kind == "dimensional":
            return {"samples": len(self)}
        totals = kept.sum(axis=0) if self.spec.kind == "multilabel" else self.kept
        return {label: int(n) for label, n in zip(self.spec.labels, totals, strict=True)}

    def offer(self, sample: Sample) -> bool:
        """Offer a sample to the memory; if its frame is in it already, correct the target.

        Returns:
            Whether the sample is in the memory now.
        """
        self._offers += 1
        if sample.frame_id in self._slots:
            self.correct(sample.frame_id, sample.target)
            return True
        self._passed += 1
        if self.spec.has_classes:
            self.seen[self._class(sample.target)] += 1
        slot = len(self) if len(self) < self.capacity else self._slot_for(sample.target)
        if slot is None:
            return False
        if slot == len(self):
            self._ids.append(sample.frame_id)
        else:
            del self._slots[self._ids[slot]]
            self._ids[slot] = sample.frame_id
        self._slots[sample.frame_id] = slot
        self._z[slot] = sample.z
        self._targets[slot] = sample.target
        self._mark_largest()
        return True

    def correct(self, frame_id: str, target: Target) -> None:
        """Replace the target of a sample in the memory."""
        slot = self._slots[frame_id]
        if self.spec.has_classes:
            self.seen[self._class(self._targets[slot])] -= 1
            self.seen[self._class(target)] += 1
        self._targets[slot] = target
        self._mark_largest()

    def draw(self, n: int, turn: int) -> tuple[Tensor, Tensor]:
        """Draw samples without replacement.

        Args:
            n: How many; all if there are fewer.
            turn: Number of the draw: the same turn on the same memory gives the same samples.

        Returns:
            ``z``, float16 (n, ...), and targets.
        """
        rng = numpy_generator(self._seed, "replay draw", self.spec.name, turn)
        slots = rng.choice(len(self), min(n, len(self)), replace=False) if len(self) else np.zeros(0, dtype=np.int64)
        return self._z[torch.from_numpy(slots)], torch.from_numpy(self._targets[slots])

    def clear(self) -> None:
        """Empty the memory as if nothing had ever been offered; only the count that seeds the draws stays."""
        self._ids, self._slots = [], {}
        self._passed = 0
        self.seen[:] = 0
        self._been_largest[:] = False

    def grow(self, spec: TaskSpec) -> None:
        """Append labels to the task; no sample in the memory has them."""
        new = spec.n_out - self.spec.n_out
        self.spec = spec
        self.seen = np.pad(self.seen, (0, new))
        self._been_largest = np.pad(self._been_largest, (0, new))
        if self._targets.ndim == 2:
            self._targets = np.pad(self._targets, ((0, 0), (0, new)))

    def state(self) -> State:
        """Return what :meth:`load` needs."""
        n = len(self)
        values = {"ids": [*self._ids], "offers": self._offers, "passed": self._passed}
        values |= {"seen": self.seen.tolist(), "been_largest": self._been_largest.tolist()}
        return State(values, {"z": self._z[:n], "targets": torch.from_numpy(self._targets[:n])})

    def load(self, state: State) -> None:
        """Restore what :meth:`state` returned."""
        values, n = state.values, len(state.values["ids"])
        self._ids = [*values["ids"]]
        self._slots = {frame_id: slot for slot, frame_id in enumerate(self._ids)}
        self._offers, self._passed = values["offers"], values["passed"]
        self.seen = np.array(values["seen"], dtype=np.int64)
        self._been_largest = np.array(values["been_largest"], dtype=bool)
        self._z[:n] = state.tensors["z"]
        self._targets[:n] = state.tensors["targets"].numpy()

    def _slot_for(self, target: Target) -> int | None:
        """Return the slot of a full memory that a sample takes, or None."""
        rng = numpy_generator(self._seed, "replay offer", self.spec.name, self._offers)
        if not self.spec.has_classes:
            slot = int(rng.integers(self._passed))
            return slot if slot < self.capacity else None
        own, kept, classes = self._class(target), self.kept, self._classes()
        if not self._been_largest[own]:
            return int(rng.choice(np.flatnonzero(np.isin(classes, np.flatnonzero(kept == kept.max())))))
        if rng.random() >= kept[own] / self.seen[own]:
            return None
        return int(rng.choice(np.flatnonzero(classes == own)))

    def _class(self, target: npt.NDArray[Any]) -> int:
        return int(target) if self.spec.kind == "categorical" else int(target.argmax())

    def _classes(self) -> npt.NDArray[np.int64]:
        """Return the class of each sample in the memory."""
        targets = self._targets[: len(self)]
        return targets if self.spec.kind == "categorical" else targets.argmax(axis=1)

    def _mark_largest(self) -> None:
        if self.spec.has_classes and len(self) == self.capacity:
            kept = self.kept
            self._been_largest |= kept == kept.max()


def _layout(spec: TaskSpec, capacity: int) -> tuple[tuple[int, ...], type]:
    """Return shape and dtype of the targets."""
    return ((capacity,), np.int64) if spec.kind == "categorical" else ((capacity, spec.n_out), np.float32)
