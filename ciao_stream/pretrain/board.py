"""TensorBoard, where it is installed: the curves and pictures of a run, to be watched while it works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
"""uint8 (height, width, 3), RGB."""


class Board:
    """Writes to ``folder``, or nowhere where the package ``tensorboard`` is not installed.

    Args:
        folder: Made where it is missing.
        step: From which step on what is there already is overwritten.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self._writer = SummaryWriter(folder, purge_step=step)

    @property
    def writes(self) -> bool:
        """Whether there is a TensorBoard."""
        return self._writer is not None

    def scalars(self, split: str, step: int, measures: dict[str, float]) -> None:
        """Add numbers."""
        for name, value in measures.items() if self.writes else ():
            self._writer.add_scalar(f"{name}/{split}", value, step)

    def picture(self, name: str, step: int, picture: Picture) -> None:
        """Add a picture; its name says where it is of synthetic faces."""
        if self.writes:
            self._writer.add_image(name, picture, step, dataformats="HWC")

    def close(self) -> None:
        """Write what is left."""
        if self.writes:
            self._writer.close()
