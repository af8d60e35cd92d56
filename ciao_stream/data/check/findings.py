"""What a check found: errors and notes, one line each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ciao_stream.data.check.overlaps import Overlap, Sharing
from ciao_stream.data.check.places import Checked, Place
from ciao_stream.data.check.scan import Summaries
from ciao_stream.faces.dataset import FaceDataset, TaskData

SHOWN = 10
"""Most findings of one kind; the report in JSON lists more."""

SPLIT_FACES = {"train": "training", "validation": "validation", "test": "test"}


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Args:
        level: ``wrong``: results on this data would be misleading or impossible. ``note``: worth knowing.
        about: Kind of finding, one word or two (``leak``).
        text: One line.
    """

    level: Literal["wrong", "note"]
    about: str
    text: str


def judged_counts(split: FaceDataset) -> dict[str, int]:
    """Return the samples per label; a group counts as one sample."""
    if split.groups is None:
        return split.counts()
    return split.take(np.unique(split.groups, return_index=True)[1].astype(np.int64)).counts()


def class_folder_findings(task: str, data: TaskData | None) -> Iterator[Finding]:
    """Say that class folders were checked, as no known data set was found, and list the classes."""
    if data is not None:
        total = {label: sum(split.counts()[label] for split in data.splits()) for label in data.spec.labels}
        listed = ", ".join(f"{label} {n:,}" for label, n in total.items())
        yield Finding("note", "class folders", f"no known data set, so its folders were checked as {task}: {listed}")


def published_findings(task: Checked) -> Iterator[Finding]:
    """Compare the number of samples with the published number."""
    for key, published in task.data.published.items():
        splits = [split for split in task.data.splits() if split.split in key.split("+")]
        where = f"{task.name} {' + '.join(split.split for split in splits)}"
        if not isinstance(published, Mapping):
            found, expected, differing = sum(split.n_judged() for split in splits), published, {}
        else:
            counts = [judged_counts(split) for split in splits]
            by_label = {label: sum(c.get(label, 0) for c in counts) for label in published}
            found, expected = sum(by_label.values()), sum(published.values())
            differing = {label: n - published[label] for label, n in by_label.items() if n != published[label]}
        if found != expected or differing:
            how = f"differs by {found - expected:+,}" if found != expected else "differs by label"
            labels = f": {', '.join(f'{label} {n:+,}' for label, n in differing.items())}" if differing else ""
            yield Finding("wrong", "count", f"{where}: {found:,} samples, {how} (published {expected:,}){labels}")


def identity_findings(task: Checked) -> Iterator[Finding]:
    """List people who are in both train and test of a fold."""
    folds = task.data.every_fold
    shared = [fold.shared_subjects() for fold in folds]
    if any(people is None for people in shared):
        yield Finding(
            "note", "identities", f"{task.name}: identities unknown: the same people may be in train and test"
        )
        return
    if people := sorted({person for people in shared for person in people or []}):
        n = sum(map(bool, shared))
        where = f"in both train and test{f' of {n} of {len(folds)} folds' if task.data.folds else ''}"
        named = f"{', '.join(people[:SHOWN])}{', ...' if len(people) > SHOWN else ''}"
        admitted = "identit" in task.data.protocol
        text = f"{task.name}: {_n(len(people), 'person', 'people')} {where}: {named} (protocol: {task.data.protocol})"
        yield Finding("note" if admitted else "wrong", "identities", text)


def unreadable_findings(problems: Mapping[int, str], places: Sequence[Place]) -> Iterator[Finding]:
    """List the images that cannot be decoded."""
    for image in list(problems)[:SHOWN]:
        where = ", ".join(where_is(image, places))
        yield Finding("wrong", "unreadable", f"{where}: {problems[image]}")
    if len(problems) > SHOWN:
        yield Finding("wrong", "unreadable", f"and {len(problems) - SHOWN:,} more images that cannot be decoded")


def where_is(image: int, places: Sequence[Place]) -> list[str]:
    """Return the places that show an image."""
    return [f"{place.task} {place.split}" for place in places if (place.ids == image).any()]


def overlap_findings(overlaps: Sequence[Overlap]) -> Iterator[Finding]:
    """Report faces that are in two places; the same overlap in several folds is one finding."""
    by_splits: dict[tuple[str, str, str, str], list[Overlap]] = {}
    for overlap in overlaps:
        of, within = overlap.of, overlap.within
        by_splits.setdefault((of.task, of.split, within.task, within.split), []).append(overlap)
    for same in by_splits.values():
        of, within = same[0].of, same[0].within
        faces = sum(len(overlap.faces) for overlap in same)
        total = sum(len(overlap.of.data) for overlap in same)
        kind = SPLIT_FACES[of.split]
        if of.key == within.key:
            text = f"{of.task} {of.split} holds {faces:,} of its {total:,} faces more than once"
        elif of.task == within.task:
            folds = f" (in {len(same)} of its folds)" if of.fold else ""
            text = f"{of.task} {within.split} holds {faces:,} of its own {total:,} {kind} faces{folds}"
        else:
            text = f"{within.task} {within.split} holds {faces:,} of {of.task}'s {total:,} {kind} faces"
        text += f" ({_n(sum(overlap.same_pixels for overlap in same), 'has', 'have')} exactly the same pixels)"
        labels = [overlap.other_label for overlap in same if overlap.other_label is not None]
        if labels:
            text += f"; of these {sum(labels):,} carry different labels" if sum(labels) else "; with the same labels"
        if same[0].is_leak:
            yield Finding("wrong", "leak", text)
        else:
            yield Finding("note", "duplicates", text)


def sharing_findings(sharings: Sequence[Sharing], base: Mapping[str, str]) -> Iterator[Finding]:
    """Report tasks that read the same files; it is wrong if one is tested on what another one is trained on.

    Args:
        sharings: Splits that share images.
        base: The data set of each task: two rules of one data set are never trained together.
    """
    by_tasks: dict[tuple[str, str], dict[str, int]] = {}
    for sharing in sharings:
        one, other = sharing.one, sharing.other
        if sharing.is_leak and (one.task == other.task or base[one.task] != base[other.task]):
            test, learned = (one, other) if one.is_test else (other, one)
            fold = f" (fold {one.fold})" if one.fold and one.task == other.task else ""
            text = (
                f"{learned.task} {learned.split} holds {_n(sharing.images, 'file', 'files')} of {test.task} test{fold}"
            )
            yield Finding("wrong", "leak", text)
        elif one.task != other.task or not one.fold:
            splits = one.split if one.split == other.split else f"{other.split} with its {one.split}"
            by_tasks.setdefault((one.task, other.task), {})[splits] = sharing.images
    for (one_task, other_task), splits_shared in by_tasks.items():
        total = _n(sum(splits_shared.values()), "image", "images")
        listed = ", ".join(f"{splits} {n:,}" for splits, n in splits_shared.items())
        if one_task == other_task:
            yield Finding("note", "shared", f"{one_task}: {total} in two of its splits ({listed})")
        else:
            yield Finding("note", "shared", f"{other_task} shares {total} with {one_task}: {listed}")


def task_notes(task: Checked, summaries: Summaries) -> Iterator[Finding]:
    """Report what was dropped, and images that show nothing."""
    for place in task.places:
        reasons = {reason: n for reason, n in place.data.dropped.items() if n}
        if reasons:
            listed = ", ".join(f"{reason} {n:,}" for reason, n in reasons.items())
            text = f"{task.name} {place.split}: {_n(sum(reasons.values()), 'sample', 'samples')} dropped: {listed}"
            yield Finding("note", "dropped", text)
    if n := int(summaries["flat"][task.ids()].sum()):
        text = f"{task.name}: {_n(n, 'image shows', 'images show')} a single shade: only compared by exact pixels"
        yield Finding("note", "flat", text)


def _n(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"
