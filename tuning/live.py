"""The table that shows a search while it runs, and the one that it leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.table import Table

from tuning.journal import TrialRow, best

SHOWN = 8
"""Trials that the live table shows: those that ended last."""


@dataclass
class Progress:
    """Where the search of one task stands.

    Args:
        task: Its name.
        metric: What is maximised.
        trials: How many there are to be.
        ended: Those that ended.
        running: By number, epochs trained and the last score, None before the first.
    """

    task: str
    metric: str
    trials: int
    ended: list[TrialRow]
    running: dict[int, tuple[int, float | None]] = field(default_factory=dict)

    def table(self) -> Table:
        """Return the table of this moment."""
        top = best(self.ended)
        so_far = "none yet" if top is None else f"{_score(top.score)} (trial {top.number})"
        title = f"{self.task}: {len(self.ended)} of {self.trials} trials, best {self.metric} {so_far}"
        table = Table(title=title, title_justify="left")
        for heading in ("trial", "status", self.metric, "epochs", "seconds", "what was drawn"):
            table.add_column(heading, no_wrap=heading != "what was drawn", overflow="ellipsis")
        for row in self.ended[-SHOWN:]:
            mark = "best" if row is top else row.status
            drawn = row.error or describe(row.config)
            seconds = f"{row.seconds.get('total', 0):.1f}"
            table.add_row(str(row.number), mark, _score(row.score), str(len(row.curve)), seconds, drawn)
        for number, (epochs, score) in sorted(self.running.items()):
            table.add_row(str(number), "running", _score(score), str(epochs), "", "")
        return table


def summary_table(rows: Mapping[str, list[TrialRow]], metrics: Mapping[str, str]) -> Table:
    """Return the best trial of each task."""
    table = Table(title="Best settings, by the validation score", title_justify="left")
    for heading in ("task", "score", "trial", "finished", "stopped", "failed", "settings"):
        table.add_column(heading)
    for task, ended in rows.items():
        top = best(ended)
        count = {status: sum(row.status == status for row in ended) for status in ("finished", "stopped", "failed")}
        numbers = [str(count[status]) for status in ("finished", "stopped", "failed")]
        shown = ("none", "", *numbers, "") if top is None else (
            f"{metrics[task]} {_score(top.score)}", str(top.number), *numbers, describe(top.config)
        )  # fmt: skip
        table.add_row(task, *shown)
    return table


def describe(config: Mapping[str, object]) -> str:
    """Say settings in one line.

    >>> describe({"lr": 0.00123456, "head.pool": "mean", "head.hidden": [64]})
    'lr 0.00123, head.pool mean, head.hidden [64]'
    """
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in config.items()
    )


def _score(score: float | None) -> str:
    return "" if score is None else f"{score:.4f}"
