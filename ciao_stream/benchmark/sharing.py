"""Which splits of a run's tasks read the very same images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ciao_stream.data.check.overlaps import find_sharings
from ciao_stream.data.check.places import Place, number
from ciao_stream.faces.dataset import TaskData


def shared_images(tasks: Sequence[TaskData]) -> list[dict[str, Any]]:
    """Return pairs of splits that have images in common, by name and without decoding one; synthetic tasks have none.

    Returns:
        ``{one: {task, split}, other: {task, split}, images, leak}``; a leak is a pair of a test split and another one.
        Of a cross-validation ``fold`` stands beside ``split``.
    """
    checked, _ = number({task.spec.name: task for task in tasks if task.train.source == "real"})
    return [
        {"one": _named(one.one), "other": _named(one.other), "images": one.images, "leak": one.is_leak}
        for one in find_sharings(checked)
    ]


def _named(place: Place) -> dict[str, str]:
    return {"task": place.task, "split": place.split, **({"fold": place.fold} if place.fold else {})}
