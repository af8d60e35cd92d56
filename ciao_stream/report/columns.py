"""The costs that a report shows: each is one :class:`Column`, from which json, csv, table and page come.

A further cost takes one line in :data:`COLUMNS`, and a strategy whose learner reports a number of that key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ciao_stream.report.formats import show_count, show_seconds


@dataclass(frozen=True)
class Column:
    """One cost of training.

    Args:
        key: Its key in the runs and the summary of a results document.
        heading: Lines of its heading in the table, which sums it up over tasks.
        run_heading: Its heading where single runs are listed.
        show: How it is shown.
        show_run: How it is shown for a single run.
        over_seeds: How it is summed up over the seeds of a task.
        over_tasks: How it is summed up over tasks; of a maximum, the table shows the smallest, too.
        type: Of the number in JSON.
        required: Whether every run has it.
        summed: Whether the summary and the table have it; otherwise only runs do.
    """

    key: str
    heading: tuple[str, ...]
    run_heading: str
    show: Callable[[Any], str]
    show_run: Callable[[Any], str] = show_seconds
    over_seeds: Literal["max", "mean"] = "mean"
    over_tasks: Literal["max", "sum"] = "sum"
    type: type[int] | type[float] = float
    required: bool = False
    summed: bool = True

    def of_seeds(self, values: Sequence[float]) -> float:
        """Sum up what the seeds of a task cost."""
        return max(values) if self.over_seeds == "max" else sum(values) / len(values)

    def of_tasks(self, values: Sequence[float]) -> float:
        """Sum up what the tasks of a strategy cost; 0 for no task."""
        return max(values, default=0) if self.over_tasks == "max" else sum(values)

    def text(self, values: Sequence[float]) -> str:
        """Return the table's cell for what the tasks of a strategy cost."""
        if not values:
            return "–"
        if self.over_tasks == "sum":
            return self.show(sum(values))
        return "–".join(dict.fromkeys([self.show(min(values)), self.show(max(values))]))


COLUMNS: tuple[Column, ...] = (
    Column("trained_parameters", ("parameters", "trained", "per task"), "parameters", show_count, "{:,}".format,
           over_seeds="max", over_tasks="max", type=int, required=True),
    Column("encode_seconds", ("seconds", "to encode"), "encode s", show_seconds, required=True, summed=False),
    Column("train_seconds", ("seconds", "to train"), "train s", show_seconds, required=True),
)  # fmt: skip
"""All costs, in the order in which they are shown."""


def run_columns(runs: Iterable[Mapping[str, Any]]) -> list[Column]:
    """Return the columns that any of the runs, as in JSON, has a number for."""
    found = {key for run in runs for key in run}
    return [column for column in COLUMNS if column.required or column.key in found]


def summed_columns(document: Mapping[str, Any]) -> list[Column]:
    """Return the columns of a document's table."""
    return [column for column in run_columns(document["runs"]) if column.summed]
