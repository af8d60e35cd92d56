"""What the curves of online learners say: means over seeds at each point, and differences over the same seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ciao_stream.report.intervals import mean_interval

FORMAT = "ciao_stream/online/1"

GOAL = 0.95
"""Share of what offline training reaches that an online learner is to reach."""

MEASURES = ("prequential", "judged")
"""The metric of the predictions so far in the stream, and that on the judged split."""

Document = Mapping[str, Any]
Entry = dict[str, Any]


def build_document(results: Document, curves: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Put together what ``online.json`` holds.

    Args:
        results: The results document of all strategies.
        curves: Per strategy that learned online, task and seed what
            :func:`strategies.base.online.read_prequential` returned.

    Returns:
        ``command``, ``environment``, ``encoder``, ``tasks``, ``settings``, ``not_run`` as in the results; ``runs``, the
        curves; ``points``, entries ``{strategy, task, n, measure, metric, mean, interval, n_seeds, difference}``, of
        which the last is the mean and interval of the difference to the first strategy over the same seeds, null for
        itself; ``offline``, entries of the strategies that did not learn online, as in the summary of the results; and
        ``goal``, per task and strategy ``n``, the first point at which the judged mean reaches :data:`GOAL` of the
        best offline mean, null where none does.
    """
    online = list(dict.fromkeys(one["strategy"] for one in curves))
    offline = [e for e in results["summary"] if e["task"] and e["strategy"] not in online and e["mean"] is not None]
    points = [entry for task in results["tasks"] for entry in _points(task, curves, online)]
    shared = ("command", "environment", "encoder", "tasks", "settings", "not_run")
    return {
        "format": FORMAT,
        **{key: results[key] for key in shared},
        "runs": [dict(one) for one in curves],
        "points": points,
        "offline": offline,
        "goal": [_goal(task["name"], name, points, offline) for task in results["tasks"] for name in online],
    }


def bound(offline: Sequence[Mapping[str, Any]], task: str) -> float | None:
    """Return the best offline mean of a task, None where nothing was trained offline."""
    return max((entry["mean"] for entry in offline if entry["task"] == task), default=None)


def _points(task: Mapping[str, Any], curves: Sequence[Mapping[str, Any]], online: Sequence[str]) -> list[Entry]:
    metric, entries = task["primary"], []
    values: dict[tuple[str, int, str], dict[int, float]] = {}
    for one in curves:
        for point in one["points"] if one["task"] == task["name"] else ():
            for measure in MEASURES:
                if point[measure][metric] is not None:
                    key = (one["strategy"], point["n"], measure)
                    values.setdefault(key, {})[one["seed"]] = point[measure][metric]
    for (strategy, n, measure), by_seed in values.items():
        first = values.get((online[0], n, measure), {})
        shared = sorted(first.keys() & by_seed.keys()) if strategy != online[0] else []
        mean, interval = _plain(mean_interval([*by_seed.values()]))
        difference = _plain(mean_interval([first[seed] - by_seed[seed] for seed in shared])) if shared else None
        entries.append(
            {
                "strategy": strategy, "task": task["name"], "n": n, "measure": measure, "metric": metric,
                "mean": mean, "interval": interval, "n_seeds": len(by_seed), "difference": difference,
            }
        )  # fmt: skip
    return entries


def _goal(task: str, strategy: str, points: Sequence[Entry], offline: Sequence[Mapping[str, Any]]) -> Entry:
    best = bound(offline, task)
    own = [e for e in points if (e["task"], e["strategy"], e["measure"]) == (task, strategy, "judged")]
    reached = [e["n"] for e in own if best is not None and e["mean"] >= GOAL * best]
    return {"task": task, "strategy": strategy, "n": min(reached, default=None)}


def _plain(pair: tuple[float, float]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in pair]
