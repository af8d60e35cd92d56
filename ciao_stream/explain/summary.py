"""The one table of an explanation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import rich.box
from rich.table import Table
from rich.text import Text

from ciao_stream.explain.measure import KINDS, OWN
from ciao_stream.explain.sanity import CASCADE

INDIFFERENT = 0.9
"""Rank correlation with the maps of a shuffled head from which on maps hardly depend on what the head learned."""


def warning(document: Mapping[str, Any]) -> str | None:
    """Return what has to be known before an ``explain.json``'s maps are believed; None where nothing has."""
    extent = next(iter(CASCADE))
    kept = [entry["sanity"][extent]["mean"] or 0.0 for entry in document["worlds"]]
    failing = sum(value >= INDIFFERENT for value in kept)
    if not failing:
        return None
    return (
        f"beware: {failing} of {len(kept)} worlds' maps stay the same (rank correlation {max(kept):.2f}) when the "
        "weights of the head are shuffled: they show what the encoder responds to rather than what the prediction "
        "depends on; see --method hirescam"
    )


def to_rich(document: Mapping[str, Any]) -> Table:
    """Lay out an ``explain.json``: one row per world and label."""
    mark = " (synthetic)" if document["source"] == "synthetic" else ""
    curved = document["method"]["curves"]["faces"]
    table = Table(
        title=Text(f"Where worlds look, mean over {len(document['faces'])} faces{mark}", style="bold"),
        title_justify="left",
        caption=Text(
            f"parts: % of the map in fixed boxes; deletion, insertion: area under the curve, own map / random maps, "
            f"{curved} faces; shuffled: rank correlation with the map after shuffling weights, head / everything"
        ),
        caption_justify="left",
        box=rich.box.SIMPLE_HEAD,
        pad_edge=False,
    )
    parts = [*document["method"]["regions"]]
    for position, heading in enumerate(("task", "strategy", *parts, *KINDS, "shuffled")):
        table.add_column(heading, justify="left" if position < 2 else "right")
    for entry in document["worlds"]:
        task = f"{entry['task']} {entry['label']}" if entry["label"] else entry["task"]
        masses = [_shown(entry["regions"][part]["mean"], 100) for part in parts]
        curves = [_pair(entry[kind][OWN], entry[kind]["random"]) if kind in entry else "–" for kind in KINDS]
        extents = [*CASCADE]
        sanity = _pair(entry["sanity"][extents[0]], entry["sanity"][extents[-1]])
        table.add_row(task, entry["strategy"], *masses, *curves, sanity)
    return table


def _pair(a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
    return f"{_shown(a['mean'])} / {_shown(b['mean'])}"


def _shown(value: float | None, factor: int = 1) -> str:
    if value is None:
        return "n/a"
    return f"{factor * value:.0f}" if factor > 1 else f"{value:.2f}"
