"""TensorBoard, if it is installed: the curves and images of a run, while it runs."""

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
        step: First step that is overwritten if it exists already.
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
        """Add an image; its name marks synthetic faces."""
        if self.writes:
            self._writer.add_image(name, picture, step, dataformats="HWC")

    def close(self) -> None:
        """Write what is left."""
        if self.writes:
            self._writer.close()
