"""R as heat maps, and what is derived from it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from markupsafe import Markup

from ciao_stream.report.formats import show
from ciao_stream.report.html.svg import key
from ciao_stream.report.html.values import Results, as_json, entry_value

MEASURES = {"acc": "ACC", "bwt": "BWT", "fwt": "FWT", "forgetting": "forgetting"}


def context(results: Results) -> dict[str, Any]:
    """Return what the template needs."""
    matrices = {
        strategy: np.mean(np.array([*by_seed.values()], dtype=np.float64), axis=0)
        for strategy, by_seed in results.document["matrices"].items()
    }
    finite = [value for r in matrices.values() for value in r.ravel() if not math.isnan(value)]
    lowest = min([0.0, *finite])
    return {
        "maps": [_map(results, strategy, r, lowest) for strategy, r in matrices.items()],
        "tasks": [task["name"] for task in results.tasks],
        "measures": MEASURES,
        "derived": [_derived(results, strategy) for strategy in matrices],
    }


def shade(share: float) -> Markup:
    """Return the style and class of a cell of a heat map, for a share in [0, 1] of the darkest colour."""
    dark = Markup(' class="dark"') if share > 0.55 else Markup("")
    return Markup(' style="--v:{:.2f}"{}').format(min(max(share, 0.0), 1.0), dark)


def _map(results: Results, strategy: str, r: Any, lowest: float) -> dict[str, Any]:
    tasks = results.tasks
    rows = []
    for i in range(len(tasks) + 1):
        cells = []
        for j, task in enumerate(tasks):
            value = float(r[i, j])
            known = not math.isnan(value)
            cells.append({
                "text": show(task["primary"], value) if known else "",
                "value": as_json(value),
                "at": f"{i}/{j}",
                "shade": shade((value - lowest) / (1 - lowest)) if known else Markup(' class="none"'),
                "own": known and i == j + 1,
            })  # fmt: skip
        rows.append({"name": "untrained" if i == 0 else f"after {tasks[i - 1]['name']}", "cells": cells})
    seeds = results.document["matrices"][strategy]
    base = " ".join(f"/matrices/{escaped(strategy)}/{seed}" for seed in seeds)
    index = results.strategies.index(strategy)
    return {"name": strategy, "key": key(index), "rows": rows, "base": base, "how": "mean" if len(seeds) > 1 else ""}


def escaped(name: str) -> str:
    """Return a name as a part of a JSON Pointer (RFC 6901).

    >>> escaped("a/b~c")
    'a~1b~0c'
    """
    return name.replace("~", "~0").replace("/", "~1")


def _derived(results: Results, strategy: str) -> dict[str, Any]:
    found = [results.entry(strategy, None, metric) for metric in MEASURES]
    cells = [entry_value(*one) if one else Markup("n/a") for one in found]
    return {"name": strategy, "key": key(results.strategies.index(strategy)), "cells": cells}
