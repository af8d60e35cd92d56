"""Checks a folder: load its data sets, decode each image once, compare; the result is one document of JSON values.

Its parts: ``tasks`` (a description of each, and per split the counts in the table), ``not_found`` and ``malformed``
(task, why), ``unreadable`` (image, in, why), ``overlaps`` (faces of one split that have duplicates in another, or in
the same one, with examples of pairs by name), ``shared`` (splits that read the same files), ``findings`` (level, about,
text; errors first), ``verdict``, and the time taken. Lists of images and pairs have at most
:data:`~ciao_stream.data.check.overlaps.EXAMPLES` entries; counts include all.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.names import real_task_names, split_rule
from benchmarks.own import folder as own_folder
from benchmarks.tasks import load_task
from ciao_stream.data.check.duplicates import CORRELATION, RADIUS, find_duplicates, how_near
from ciao_stream.data.check.findings import (
    Finding,
    class_folder_findings,
    identity_findings,
    judged_counts,
    overlap_findings,
    published_findings,
    sharing_findings,
    task_notes,
    unreadable_findings,
    where_is,
)
from ciao_stream.data.check.overlaps import EXAMPLES, Overlap, Sharing, find_overlaps, find_sharings
from ciao_stream.data.check.places import Checked, Place, UniqueImages, clips, number
from ciao_stream.data.check.scan import THUMBNAIL, Summaries, scan
from ciao_stream.exceptions import CiaoError, DataError, MissingDataError
from ciao_stream.faces.dataset import TaskData
from ciao_stream.faces.readers.folders import class_folders
from ciao_stream.runtime.plugins import load_plugin
from ciao_stream.runtime.progress import SILENT, Progress

FORMAT = "ciao_stream/check/1"

Document = dict[str, Any]


def check(root: Path, asked: Sequence[str] | None, command: Sequence[str], progress: Progress = SILENT) -> Document:
    """Check the data sets under a folder, or its class folders if it holds no known data set.

    Args:
        root: The folder.
        asked: Tasks, as :func:`benchmarks.tasks.load_task` takes them; None for all that are found.
        command: The command line, for the document.
        progress: Shows the progress.

    Returns:
        The document, see the module.

    Raises:
        CiaoError: There is no such folder, task or rule, a task is given twice, or nothing was found.
    """
    began = time.monotonic()
    if not root.is_dir():
        raise CiaoError(f"{root} is not a folder: expected the folder that holds the data sets")
    if asked is not None and len(set(asked)) < len(asked):
        raise CiaoError(f"task {max(asked, key=list(asked).count)!r} given twice")
    loaded, absent, malformed = _load(root, real_task_names() if asked is None else asked, progress)
    findings: list[Finding] = []
    if not loaded and not malformed:
        if asked is not None or not own_folder.has_class_folders(root):
            raise CiaoError(_nothing(root, asked))
        own = f"folder:{root}"
        loaded, absent, malformed = _load(root, [own], progress)
        findings += class_folder_findings(own, loaded.get(own))
    checked, images = number(loaded)
    scan_began = time.monotonic()
    with progress.bar("decode", len(images)) as bar:
        summaries, problems = scan(images, bar.advance)
    scanned = time.monotonic() - scan_began
    with progress.bar("compare"):
        duplicates = find_duplicates(summaries, clips(checked, len(images)))
        overlaps, sharings = find_overlaps(checked, duplicates), find_sharings(checked)
    findings += [Finding("wrong", "malformed", text) for text in malformed.values()]
    if asked is not None:
        findings += [Finding("wrong", "not found", text) for text in absent.values()]
    places = [place for task in checked for place in task.places]
    findings += unreadable_findings(problems, places)
    for task in checked:
        findings += [*published_findings(task), *identity_findings(task), *task_notes(task, summaries)]
    findings += [
        *overlap_findings(overlaps),
        *sharing_findings(sharings, {task.name: task.base for task in checked}),
    ]
    findings.sort(key=lambda finding: finding.level == "note")
    named = _Names(images, root)
    return {
        "format": FORMAT,
        "command": list(command),
        "data_root": str(root),
        "verdict": "wrong" if any(finding.level == "wrong" for finding in findings) else "nothing wrong",
        "images": len(images),
        "seconds": round(time.monotonic() - began, 3),
        "images_per_second": round(len(images) / max(scanned, 1e-9), 1),
        "method": {
            "hash": "pHash of 64 bits (imagehash)",
            "most_bits_apart": RADIUS,
            "thumbnail": [THUMBNAIL, THUMBNAIL],
            "least_correlation": CORRELATION,
        },
        "tasks": [_describe(task, summaries, overlaps) for task in checked],
        "not_found": [{"task": task, "why": why} for task, why in absent.items()],
        "malformed": [{"task": task, "why": why} for task, why in malformed.items()],
        "unreadable": [
            {"image": named(image), "in": where_is(image, places), "why": why}
            for image, why in list(problems.items())[:EXAMPLES]
        ],
        "overlaps": [_describe_overlap(overlap, summaries, named) for overlap in overlaps],
        "shared": [_describe_sharing(sharing) for sharing in sharings],
        "findings": [{"level": f.level, "about": f.about, "text": f.text} for f in findings],
    }


def _load(
    root: Path, tasks: Sequence[str], progress: Progress
) -> tuple[dict[str, TaskData], dict[str, str], dict[str, str]]:
    """Load tasks; return what was loaded, and why others are absent or malformed."""
    loaded: dict[str, TaskData] = {}
    absent: dict[str, str] = {}
    malformed: dict[str, str] = {}
    with progress.bar("load", len(tasks)) as bar:
        for task in tasks:
            bar.advance(0, f"load {task}")
            try:
                loaded[task] = load_task(task, root)
            except MissingDataError as error:
                absent[task] = _line(task, error)
            except DataError as error:
                malformed[task] = _line(task, error)
            bar.advance(1, "load")
    return loaded, absent, malformed


def _line(task: str, error: DataError) -> str:
    text = " ".join(str(error).split())
    return text if f"task {task!r}" in text else f"{task}: {text}"


def _nothing(root: Path, asked: Sequence[str] | None) -> str:
    known = {name: load_plugin("benchmarks.datasets", name, "task").LAYOUT for name in real_task_names()}
    if asked is not None:
        wanted = {split_rule(task)[0] for task in asked} & known.keys()
        layouts = "; ".join(f"{name}: {known[name]}" for name in sorted(wanted))
        return f"found none of {', '.join(asked)} under {root}" + (f"; expected {layouts}" if layouts else "")
    layouts = ", ".join(f"{name}: {layout.split()[0].rstrip(',')}" for name, layout in known.items())
    inside = next((place for place in class_folders(root) if own_folder.has_class_folders(place)), None)
    hint = f"; {inside} has class folders: to check it, run data check {inside}" if inside else ""
    return (
        f"found no data set under {root}{hint}; expected class folders ({own_folder.LAYOUT}), or files of a data set "
        f"({layouts}; --tasks NAME shows all layouts of one)"
    )


class _Names:
    """Names of images, relative to the data root if they are below it."""

    def __init__(self, images: UniqueImages, root: Path) -> None:
        self._images = images
        self._prefix = f"{root}/"

    def __call__(self, image: int) -> str:
        return self._images.name(image).removeprefix(self._prefix)


def _describe(task: Checked, summaries: Summaries, overlaps: Sequence[Overlap]) -> dict[str, Any]:
    data = task.data
    known = summaries[task.ids()]
    known = known[known["readable"]]
    folds = data.every_fold
    subjects = [fold.shared_subjects() for fold in folds]
    return {
        "name": task.name,
        "spec": data.spec.to_json(),
        "protocol": data.protocol,
        "folds": [fold.fold for fold in data.folds],
        "shared_subjects": None
        if any(people is None for people in subjects)
        else sorted({person for people in subjects for person in people or []}),
        "published": {
            key: dict(value) if isinstance(value, Mapping) else value for key, value in data.published.items()
        },
        "width": _spread(known["width"]),
        "height": _spread(known["height"]),
        "colour_share": round(float(known["colour"].mean()), 4) if len(known) else None,
        "flat": int(known["flat"].sum()),
        "splits": [_describe_place(place, summaries, overlaps) for place in task.places],
    }


def _describe_place(place: Place, summaries: Summaries, overlaps: Sequence[Overlap]) -> dict[str, Any]:
    split = place.data
    within = [o.faces for o in overlaps if o.of.key == o.within.key == place.key]
    elsewhere = [o.faces for o in overlaps if o.of.key == place.key != o.within.key]
    elsewhere += [o.faces_within for o in overlaps if o.within.key == place.key != o.of.key]
    return {
        "split": split.split,
        "source": split.source,
        "label_rule": split.label_rule,
        "framing": split.framing,
        "images": len(split),
        "samples": split.n_judged(),
        "counts": judged_counts(split),
        "unreadable": int((~summaries["readable"][place.ids]).sum()),
        "duplicates_within": sum(len(faces) for faces in within),
        "found_elsewhere": len(np.unique(np.concatenate([place.ids[:0], *elsewhere]))),
        "left_out": {reason: int(n) for reason, n in split.dropped.items()},
    }


def _spread(values: Any) -> list[int] | None:
    """Return minimum, median and maximum; None without values."""
    return [int(values.min()), int(np.median(values)), int(values.max())] if len(values) else None


def _describe_overlap(overlap: Overlap, summaries: Summaries, named: _Names) -> dict[str, Any]:
    examples = []
    for pair in overlap.examples:
        example: dict[str, Any] = {"of": named(pair.one), "within": named(pair.other), "how": pair.how}
        if pair.how == "near":
            bits, correlation = how_near(summaries, pair)
            example |= {"bits_apart": bits, "correlation": round(correlation, 4)}
        examples.append(example)
    return {
        "of": _describe_key(overlap.of),
        "within": _describe_key(overlap.within),
        "leak": overlap.is_leak,
        "faces": len(overlap.faces),
        "of_faces": len(overlap.of.data),
        "same_pixels": overlap.same_pixels,
        "faces_within": len(overlap.faces_within),
        "pairs": overlap.pairs,
        "other_label": overlap.other_label,
        "examples": examples,
    }


def _describe_sharing(sharing: Sharing) -> dict[str, Any]:
    return {
        "one": _describe_key(sharing.one),
        "other": _describe_key(sharing.other),
        "leak": sharing.is_leak,
        "images": sharing.images,
    }


def _describe_key(place: Place) -> dict[str, str]:
    return {"task": place.task, "split": place.split, **({"fold": place.fold} if place.fold else {})}
