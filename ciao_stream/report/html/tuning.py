"""The page of a search: its best settings, its trials, what mattered, and how to repeat it.

Pointers of ``data-at`` go into ``{"tuned": tuned.json, "trials": [the lines of trials.jsonl]}``.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ciao_stream.exceptions import CiaoError
from ciao_stream.report.formats import metric_name, show, show_seconds
from ciao_stream.report.html.importance import LEAST, Importance, importance, varied
from ciao_stream.report.html.page import NAME, Section, render
from ciao_stream.report.html.repeat import flat, text
from ciao_stream.report.html.search_charts import Trial, coordinates, progress
from ciao_stream.report.html.sequence import escaped
from ciao_stream.report.html.summary import counted
from ciao_stream.report.html.values import number, spread
from ciao_stream.runtime.atomic import write_text
from ciao_stream.runtime.command import shell_line

TUNED, TRIALS = "tuned.json", "trials.jsonl"

LISTED = 400
"""Trials of a task in its table: the best ones. The drawings show all."""

TOLD_ELSEWHERE = ("tasks", "command", "versions", "encoder", "format")


def write_tuning_report(folder: str | os.PathLike[str]) -> Path:
    """Write ``report.html`` into a search's folder, whole or not at all.

    Args:
        folder: Holds ``trials.jsonl`` and, once a trial has finished, ``tuned.json``.

    Raises:
        CiaoError: A file is missing or damaged, or the page cannot be written.
    """
    path = Path(folder) / NAME
    write_text(path, tuning_page(Path(folder)))
    return path


def tuning_page(folder: Path) -> str:
    """Return the page of a search.

    Raises:
        CiaoError: As :func:`write_tuning_report`.
    """
    tuned, trials = _read(folder)
    try:
        names = list(dict.fromkeys([*tuned.get("tasks", {}), *(trial["task"] for trial in trials)]))
        tasks = [_Search(name, tuned, [(i, t) for i, t in enumerate(trials) if t["task"] == name]) for name in names]
        sections = [
            Section("best", "Best settings", {"tasks": [task.best() for task in tasks], "lead": _lead(tuned, tasks)}),
            Section("search", "Trials", {"tasks": [task.trials() for task in tasks], "listed": LISTED}),
            Section("importance", "What mattered", {"tasks": [task.mattered() for task in tasks], "least": LEAST}),
            Section("again", "Repeat it", _again(tuned)),
        ]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise CiaoError(f"the search in {folder} is damaged: {type(error).__name__} {error}") from error
    drawn = [name for name in names if tuned.get("tasks", {}).get(name, {}).get("source") == "synthetic"]
    mark = "" if not drawn else "synthetic data" if drawn == names else f"partly synthetic: {', '.join(drawn)}"
    return render(f"Search over {', '.join(names)}", "tuning", mark, sections)


class _Search:
    """The trials of one task.

    Args:
        name: The task.
        tuned: The whole of ``tuned.json``; empty where no trial has finished.
        rows: Its trials, each with its place among all.
    """

    def __init__(self, name: str, tuned: Mapping[str, Any], rows: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        self.name = name
        self.found: Mapping[str, Any] | None = tuned.get("tasks", {}).get(name)
        self.metric: str = self.found["score"]["metric"] if self.found else ""
        self.rows = sorted(rows, key=lambda row: row[1]["number"])
        self.source = self.found["source"] if self.found else ""

    @property
    def at(self) -> str:
        return f"/tuned/tasks/{escaped(self.name)}"

    def best(self) -> dict[str, Any]:
        """Return what was found."""
        head = {"name": self.name, "source": self.source, "ran": len(self.rows), "metric": metric_name(self.metric)}
        if self.found is None:
            return {**head, "score": None}
        score = self.found["score"]
        several = len(score["values"]) > 1
        at = f"{self.at}/score"
        return {
            **head,
            "score": spread(self.metric, score["mean"], None, f"{at}/mean", at),
            "std": number(show(self.metric, score["std"]), score["std"], f"{at}/std") if several else None,
            "measured": len(score["values"]),
            "trial": number(f"{self.found['trial']}", self.found["trial"], f"{self.at}/trial"),
            "counts": [
                (status, number(f"{count}", count, f"{self.at}/trials/{status}"))
                for status, count in self.found["trials"].items()
            ],
            "config": [(name, text(value)) for name, value in flat(self.found["config"]).items()],
            "settings": [(name, text(value)) for name, value in flat(self.found["settings"]).items()],
        }

    def trials(self) -> dict[str, Any]:
        """Return the drawings and the table of the trials."""
        names = varied([row["config"] for _, row in self.rows])
        shown = [
            Trial(row["number"], row["status"], row["score"], row["config"], f"/trials/{i}") for i, row in self.rows
        ]
        scored = [trial for trial in shown if trial.score is not None]
        ranked = sorted(self.rows, key=lambda row: (row[1]["score"] is None, -(row[1]["score"] or 0), row[1]["number"]))
        return {
            "name": self.name,
            "source": self.source,
            "metric": metric_name(self.metric) if self.metric else "score",
            "progress": progress(f"{self.name}: score of each trial and the best so far", self.metric, shown)
            if scored
            else None,
            "coordinates": coordinates(f"{self.name}: settings of each trial, darker where the score is higher",
                                       self.metric, names, scored) if scored and names else None,
            "names": names,
            "rows": [self._row(i, row, names) for i, row in ranked[:LISTED]],
            "of": len(ranked),
        }  # fmt: skip

    def _row(self, i: int, row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        score, at = row["score"], f"/trials/{i}"
        seconds = row["seconds"].get("total") if isinstance(row["seconds"], Mapping) else row["seconds"]
        return {
            "number": number(str(row["number"]), row["number"], f"{at}/number"),
            "status": row["status"],
            "score": number(show(self.metric, score) if score is not None else "n/a", score, f"{at}/score"),
            "seconds": "–" if seconds is None else show_seconds(seconds),
            "config": [_shown(row["config"].get(name)) for name in names],
            "error": row.get("error"),
        }

    def mattered(self) -> dict[str, Any]:
        """Return the importance of each setting."""
        finished = [row for _, row in self.rows if row["status"] == "finished" and row["score"] is not None]
        found = importance([row["config"] for row in finished], [row["score"] for row in finished])
        return {"name": self.name, "source": self.source, "finished": len(finished), "found": _bars(found)}


def _bars(found: Importance | None) -> dict[str, Any] | None:
    if found is None:
        return None
    longest = max(max(mean for _, mean, _ in found.settings), 1e-9)
    rows = [
        {"name": name, "text": f"{mean:.3f}", "std": f"±{std:.3f}", "value": mean,
         "width": f"{100 * max(mean, 0) / longest:.1f}"}
        for name, mean, std in found.settings
    ]  # fmt: skip
    return {"explained": f"{found.explained:.2f}", "trusted": found.explained >= 0.1, "rows": rows}


def _shown(value: Any) -> dict[str, str]:
    """Return a setting as it is read, with its value for sorting where it is a number."""
    if isinstance(value, float):
        return {"text": f"{value:.3g}", "value": json.dumps(value)}
    if isinstance(value, int) and not isinstance(value, bool):
        return {"text": str(value), "value": str(value)}
    return {"text": text(value), "value": ""}


def _lead(tuned: Mapping[str, Any], tasks: Sequence[_Search]) -> Markup:
    ran = counted(sum(len(task.rows) for task in tasks), "trial", "trials").capitalize()
    if not tuned:
        return Markup("{} ended; none has finished yet.").format(ran)
    scheme, encoder = tuned.get("scheme", "worlds"), tuned["encoder"]["name"]
    lead = Markup(
        "{} of <b>{}</b> over the frozen encoder <b>{}</b>, judged on the validation split; test was not seen."
    )
    return lead.format(ran, scheme, encoder)


def _again(tuned: Mapping[str, Any]) -> dict[str, Any]:
    module, *arguments = tuned.get("command") or [""]
    return {
        "line": shell_line(module, arguments) if module else "",
        "versions": [(name, text(value)) for name, value in tuned.get("versions", {}).items()],
        "encoder": [(name, text(value)) for name, value in tuned.get("encoder", {}).items()],
        "settings": [(k, text(v)) for k, v in flat(tuned).items() if k.partition(".")[0] not in TOLD_ELSEWHERE],
    }


def _read(folder: Path) -> tuple[Mapping[str, Any], list[dict[str, Any]]]:
    """Read a search; an unfinished last line is skipped."""
    try:
        tuned = json.loads((folder / TUNED).read_text(encoding="utf-8")) if (folder / TUNED).exists() else {}
        lines = (folder / TRIALS).read_text(encoding="utf-8").splitlines(keepends=True)
        trials = [json.loads(line) for line in lines if line.endswith("\n")]
    except (OSError, ValueError) as error:
        raise CiaoError(f"no search can be read in {folder}: {error}") from error
    if any(not math.isfinite(trial.get("score") or 0) for trial in trials):
        raise CiaoError(f"{folder / TRIALS}: a score is not finite")
    return tuned, trials
