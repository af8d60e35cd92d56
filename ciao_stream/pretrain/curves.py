"""The losses during the training of an encoder: rows, a csv file and a figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from ciao_stream.report.figures import save_figure
from ciao_stream.runtime.atomic import write_text

EVERY = 10
"""Steps whose mean is one row of the training split; fewer at the end of an epoch."""

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")


class Curves:
    """Rows of means, in the order of the steps: of the training split every so many steps, of validation per epoch.

    Args:
        measures: The columns, and their names in figures.
        panels: Which of them are drawn, by the axis they are drawn over.
    """

    def __init__(self, measures: Mapping[str, str], panels: Mapping[str, tuple[str, ...]]) -> None:
        self.measures = measures
        self.panels = panels
        self.rows: list[dict[str, Any]] = []
        self._pending: list[dict[str, float]] = []

    def trained(self, epoch: int, step: int, measures: dict[str, float], last: bool) -> dict[str, float] | None:
        """Take in the measures of a step, maybe the last of its epoch; return the row that it completes, if it does."""
        self._pending.append(measures)
        if len(self._pending) < EVERY and not last:
            return None
        means = mean(self._pending)
        self._pending = []
        self.rows.append({"epoch": epoch, "step": step, "split": "train", **means})
        return means

    def measured(self, epoch: int, step: int, measures: dict[str, float]) -> None:
        """Take in what was measured on validation faces."""
        self.rows.append({"epoch": epoch, "step": step, "split": "validation", **measures})

    def of(self, split: str, measure: str) -> tuple[list[int], list[float]]:
        """Return the steps at which a split was measured, and the values."""
        rows = [row for row in self.rows if row["split"] == split and measure in row]
        return [row["step"] for row in rows], [row[measure] for row in rows]

    def validation(self, at: int) -> dict[str, float]:
        """Return what was measured on validation faces, the first time (0) or the last (-1)."""
        row = [row for row in self.rows if row["split"] == "validation"][at]
        return {name: row[name] for name in self.measures if name in row}

    def state_dict(self) -> dict[str, Any]:
        """Return everything seen so far."""
        return {"rows": self.rows, "pending": self._pending}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self.rows, self._pending = state["rows"], state["pending"]

    def write(self, folder: Path, title: str, source: str) -> None:
        """Write ``losses.csv`` and ``losses.png``, each whole or not at all."""
        present = [name for name in self.measures if any(name in row for row in self.rows)]
        text = io.StringIO()
        writer = csv.DictWriter(text, ["source", "split", "epoch", "step", *present], lineterminator="\n")
        writer.writeheader()
        writer.writerows({"source": source, **row} for row in self.rows)
        write_text(folder / "losses.csv", text.getvalue())
        save_figure(folder / "losses.png", self._figure(title), dpi=120)

    def _figure(self, title: str) -> Figure:
        figure = Figure(figsize=(12, 3.6), layout="constrained")
        figure.suptitle(title, fontsize=10)
        for axes, (label, measures) in zip(figure.subplots(1, len(self.panels)), self.panels.items(), strict=True):
            for colour, measure in zip(COLOURS, measures, strict=False):
                axes.plot(*self.of("train", measure), color=colour, lw=1.2, label=self.measures[measure])
                axes.plot(*self.of("validation", measure), color=colour, ls="none", marker="o", ms=4)
            axes.set_xlabel("step (dots: validation)")
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0)
            axes.grid(color="#dddddd", lw=0.7)
            axes.spines[["top", "right"]].set_visible(False)
            if len(measures) > 1:
                axes.legend(frameon=False, fontsize=8)
        return figure


def mean(measures: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each measure."""
    return {name: sum(each[name] for each in measures) / len(measures) for name in measures[0]}


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
