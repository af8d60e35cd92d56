"""What a check says: what is wrong, and what is merely to be known. Each finding is one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ciao_stream.data.check.overlaps import Overlap, Sharing
from ciao_stream.data.check.places import Checked, Place
from ciao_stream.data.check.scan import Looks
from ciao_stream.faces.dataset import FaceDataset

SHOWN = 10
"""Things of one kind that are named in findings; the report in JSON has more."""

SPLIT_FACES = {"train": "training", "validation": "validation", "test": "test"}


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Args:
        level: ``wrong``: results are not what they seem, or cannot be had. ``note``: to be known.
        about: Kind of finding, one word or two (``leak``).
        text: One line.
    """

    level: Literal["wrong", "note"]
    about: str
    text: str


def judged_counts(split: FaceDataset) -> dict[str, int]:
    """Return the samples per label, where a group counts as one sample."""
    if split.groups is None:
        return split.counts()
    return split.take(np.unique(split.groups, return_index=True)[1].astype(np.int64)).counts()


def published_findings(task: Checked) -> Iterator[Finding]:
    """Compare the numbers of samples with those that are published."""
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
            how = f"differs by {found - expected:+,}" if found != expected else "not those of each label"
            labels = f": {', '.join(f'{label} {n:+,}' for label, n in differing.items())}" if differing else ""
            yield Finding("wrong", "count", f"{where}: {found:,} samples, {how} (published {expected:,}){labels}")


def identity_findings(task: Checked) -> Iterator[Finding]:
    """Say who is in both train and test of a fold."""
    folds = task.data.every_fold
    shared = [fold.shared_subjects() for fold in folds]
    if any(people is None for people in shared):
        yield Finding(
            "note", "identities", f"{task.name}: identities unknown: nobody can tell who is in train and test"
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
    """Name the images that cannot be decoded."""
    for picture in list(problems)[:SHOWN]:
        where = ", ".join(where_is(picture, places))
        yield Finding("wrong", "unreadable", f"{where}: {problems[picture]}")
    if len(problems) > SHOWN:
        yield Finding("wrong", "unreadable", f"and {len(problems) - SHOWN:,} more images that cannot be decoded")


def where_is(picture: int, places: Sequence[Place]) -> list[str]:
    """Return the places that show a picture."""
    return [f"{place.task} {place.split}" for place in places if (place.ids == picture).any()]


def overlap_findings(overlaps: Sequence[Overlap]) -> Iterator[Finding]:
    """Say which faces stand in two places; what is found in several folds is one finding."""
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
        text += f" ({_n(sum(overlap.same_pixels for overlap in same), 'has', 'have')} the very same pixels)"
        labels = [overlap.other_label for overlap in same if overlap.other_label is not None]
        if labels:
            text += f"; of these {sum(labels):,} carry different labels" if sum(labels) else "; with the same labels"
        if same[0].is_leak:
            yield Finding("wrong", "leak", text)
        else:
            yield Finding("note", "duplicates", text)


def sharing_findings(sharings: Sequence[Sharing], base: Mapping[str, str]) -> Iterator[Finding]:
    """Say which tasks read the same files; it is wrong where one is tested on what another one learns from.

    Args:
        sharings: Splits that share images.
        base: The data set of each task: what rules make of one data set is never learned together.
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
            splits = one.split if one.split == other.split else f"{one.split} of the one and {other.split} of the other"
            by_tasks.setdefault((one.task, other.task), {})[splits] = sharing.images
    for (one_task, other_task), splits_shared in by_tasks.items():
        total = _n(sum(splits_shared.values()), "image", "images")
        listed = ", ".join(f"{splits} {n:,}" for splits, n in splits_shared.items())
        if one_task == other_task:
            yield Finding("note", "shared", f"{one_task}: {total} in two of its splits ({listed})")
        else:
            yield Finding("note", "shared", f"{other_task} shares {total} with {one_task}: {listed}")


def task_notes(task: Checked, looks: Looks) -> Iterator[Finding]:
    """Say what was left out, and which pictures show nothing."""
    for place in task.places:
        reasons = {reason: n for reason, n in place.data.dropped.items() if n}
        if reasons:
            listed = ", ".join(f"{reason} {n:,}" for reason, n in reasons.items())
            text = f"{task.name} {place.split}: {_n(sum(reasons.values()), 'sample', 'samples')} left out: {listed}"
            yield Finding("note", "left out", text)
    if n := int(looks["flat"][task.ids()].sum()):
        text = f"{task.name}: {_n(n, 'image shows', 'images show')} one even shade: compared by exact pixels only"
        yield Finding("note", "flat", text)


def _n(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"
