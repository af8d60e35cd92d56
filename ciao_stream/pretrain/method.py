"""What one method adds to the training that all methods share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ciao_stream.encoders.base import Encoder
from ciao_stream.faces.dataset import FaceDataset, TaskData
from ciao_stream.pretrain.curves import Picture

Measures = dict[str, float]
"""Means over a batch, by name."""


class Batch(NamedTuple):
    """Faces, uint8 (B, channels, size, size), and the labels that the method reads, float32 (B, K)."""

    pixels: Tensor
    labels: Tensor


class Learner(Protocol):
    """What is trained; it can be saved and resumed."""

    def encoder(self) -> Encoder:
        """Return a frozen copy of the encoder as it is now."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return everything that training moves, as tensors and plain values."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        ...


class Method(ABC):
    """A method of training an encoder, from checking the tasks to the last step.

    The training calls :meth:`admit`, :meth:`labels` of each split, :meth:`begin`, and then as often as needed
    :meth:`step` and :meth:`measure`. Random draws come only from the generator of the call, so that a training
    resumes after a stop as if there had been none.
    """

    name: ClassVar[str]
    """As in the command."""

    measures: ClassVar[Mapping[str, str]]
    """The columns of the curves, and their names in figures."""

    panels: ClassVar[Mapping[str, tuple[str, ...]]]
    """Which of them are drawn, by the axis they are drawn over."""

    encoder: Encoder
    """What the training starts from, on its device."""

    learner: Learner
    """Made by :meth:`begin`."""

    extendable: ClassVar[bool]
    """Whether a finished training may be extended by more epochs."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Return the method's settings that determine the numbers, as JSON values."""

    @abstractmethod
    def admit(self, tasks: Sequence[TaskData]) -> None:
        """Check the tasks before anything is written.

        Raises:
            CiaoError: The method cannot learn from them.
        """

    @abstractmethod
    def labels(self, faces: FaceDataset) -> npt.NDArray[np.float32]:
        """Return the labels of a split that the method reads, (N, K)."""

    @abstractmethod
    def begin(self, steps: int, seed: int) -> None:
        """Make what is to be trained.

        Args:
            steps: How many steps there will be.
            seed: Of initial weights.
        """

    @abstractmethod
    def step(self, batch: Batch, generator: torch.Generator) -> Measures:
        """Learn from one batch, on the encoder's device."""

    @abstractmethod
    def measure(self, batch: Batch, generator: torch.Generator) -> Measures:
        """Return measures of validation faces; nothing learns."""

    @abstractmethod
    def progress(self, measures: Measures) -> str:
        """Describe a step in a few words."""

    @abstractmethod
    def summary(self, first: Measures, last: Measures) -> str:
        """Describe in one line how the first and the last measurement of validation faces differ."""

    def about(self) -> dict[str, Any]:
        """Return what else to record about the method with the trained encoder, as JSON values."""
        return {}

    def remarks(self) -> list[str]:
        """Name the parts of the method that are omitted, and why."""
        return []

    def pictures(self, faces: Batch) -> dict[str, Picture]:  # noqa: ARG002
        """Draw the method's results on validation faces, for a board, by name."""
        return {}

    def show(self, folder: Path, faces: Batch, title: str) -> None:  # noqa: B027
        """Write images of the method's results on validation faces, if it has any."""
