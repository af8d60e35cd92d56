"""Names of all tasks, to be had without loading any of them."""

from __future__ import annotations

from ciao_stream.plugins import plugin_names

WORLDS: tuple[str, ...] = ("affectnet", "affectnet-va", "fer", "ferplus", "jaffe", "emoreact")
"""The synthetic worlds."""


def real_task_names() -> list[str]:
    """Return the tasks that can be read from a data root."""
    return plugin_names("benchmarks.datasets")


def task_names() -> list[str]:
    """Return every task: those on disk and the synthetic worlds."""
    return sorted({*real_task_names(), *WORLDS})
