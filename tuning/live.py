"""The table that shows a search while it runs, and the one that ends it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from ciao_stream.runtime.command import output_console
from ciao_stream.worlds.tuned import TUNED
from tuning.journal import Journal, SearchState, TrialRow, best

SHOWN = 8
"""Trials in the live table: those that ended last."""


@contextmanager
def watch(state: SearchState) -> Iterator[Callable[[], None]]:
    """Show a table on a terminal's stderr while the body runs; yields what shows it again."""
    console = Console(stderr=True)
    screen = Console(stderr=True, quiet=not console.is_terminal)
    with Live(search_table(state), console=screen, auto_refresh=False, transient=True) as live:
        yield lambda: live.update(search_table(state), refresh=True)


def show_summary(out: Path, page: Path) -> None:
    """Print the best trial of each task of a finished search, and where its files are.

    Args:
        out: The folder of the search.
        page: Its page.
    """
    journal = Journal(out)
    tasks = json.loads((out / TUNED).read_text())["tasks"]
    metrics = {name: task["score"]["metric"] for name, task in tasks.items()}
    shown = output_console()
    shown.print(summary_table({name: journal.of_task(name) for name in metrics}, metrics))
    shown.print(f"best settings: {out / TUNED}; all trials: {journal.path}; page: {page}", soft_wrap=True)


def search_table(state: SearchState) -> Table:
    """Return the table of a search as it is now."""
    top = best(state.ended)
    so_far = "none yet" if top is None else f"{_score(top.score)} (trial {top.number})"
    title = f"{state.task}: {len(state.ended)} of {state.trials} trials, best {state.metric} {so_far}"
    table = Table(title=title, title_justify="left")
    for heading in ("trial", "status", state.metric, "epochs", "seconds", "settings"):
        table.add_column(heading, no_wrap=heading != "settings", overflow="ellipsis")
    for row in state.ended[-SHOWN:]:
        mark = "best" if row is top else row.status
        drawn = row.error or describe(row.config)
        seconds = f"{row.seconds.get('total', 0):.1f}"
        table.add_row(str(row.number), mark, _score(row.score), str(len(row.curve)), seconds, drawn)
    for number, (epochs, score) in sorted(state.running.items()):
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
    """Describe settings in one line.

    >>> describe({"lr": 0.00123456, "head.pool": "mean", "head.hidden": [64]})
    'lr 0.00123, head.pool mean, head.hidden [64]'
    """
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in config.items()
    )


def _score(score: float | None) -> str:
    return "" if score is None else f"{score:.4f}"
