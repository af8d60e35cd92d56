"""The data of training and evaluation: counts, rules, people in both, and duplicate faces."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ciao_stream.report.html.sequence import escaped
from ciao_stream.report.html.values import Results, number

CHECK = "check.json"
"""What ``python -m ciao_stream.data check --out`` leaves in a folder."""

CHECK_FORMAT = "ciao_stream/check/1"


def context(results: Results, folder: Path | None) -> dict[str, Any]:
    """Return what the template needs.

    Args:
        results: The run.
        folder: The run's, where the check of its data may lie.
    """
    check = _check(folder)
    return {
        "about": [_about(results, i, task) for i, task in enumerate(results.tasks)],
        "shared": results.document.get("shared_images"),
        "check": check,
        "overlaps": _overlaps(check) if check else [],
        "synthetic": all(task["source"] == "synthetic" for task in results.tasks),
    }


def _about(results: Results, i: int, task: Mapping[str, Any]) -> dict[str, Any]:
    at, samples = f"/tasks/{i}", task.get("samples", {})
    scored = [run for s in results.strategies for run in results.runs(s, task["name"])]
    n = {run.data["n"]: run for run in scored}
    return {
        "task": task,
        "splits": [(name, number(f"{count:,}", count, f"{at}/samples/{name}")) for name, count in samples.items()],
        "scored": [number(f"{run.data['n']:,}", run.data["n"], f"{run.pointer}/n") for run in n.values()],
        "counts": _counts(task, at),
        "dropped": [
            (split, reason, number(f"{count:,}", count, f"{at}/dropped/{split}/{escaped(reason)}"))
            for split, reasons in task.get("dropped", {}).items()
            for reason, count in reasons.items()
        ],
        "detection": [
            {
                "split": split,
                "detector": found["detector"],
                **{k: number(f"{found[k]:,}", found[k], f"{at}/detection/{split}/{k}")
                   for k in ("images", "none", "several")},
            }
            for split, found in task.get("detection", {}).items()
        ],
        "rules": sorted(set(task.get("label_rule", {}).values())),
    }  # fmt: skip


def _counts(task: Mapping[str, Any], at: str) -> list[tuple[str, list[Markup]]]:
    """Return a row per label with its count in each split; nothing where labels are not counted."""
    splits = task.get("counts", {})
    rows = []
    for label in task["labels"]:
        if all(label in counts for counts in splits.values()) and splits:
            cells = [
                number(f"{counts[label]:,}", counts[label], f"{at}/counts/{split}/{escaped(label)}")
                for split, counts in splits.items()
            ]
            rows.append((label, cells))
    return rows


def _check(folder: Path | None) -> Mapping[str, Any] | None:
    """Read the check that lies in the folder; None where there is none that can be read."""
    if folder is None:
        return None
    try:
        check = json.loads((folder / CHECK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return check if isinstance(check, dict) and check.get("format") == CHECK_FORMAT else None


def _overlaps(check: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the overlaps of a check, leaks first."""
    found = [
        {**overlap, "of": _place(overlap["of"]), "within": _place(overlap["within"])} for overlap in check["overlaps"]
    ]
    return sorted(found, key=lambda one: (not one["leak"], -one["faces"]))


def _place(key: Mapping[str, str]) -> str:
    return " ".join([key["task"], key["split"], *([f"(fold {key['fold']})"] if "fold" in key else [])])
