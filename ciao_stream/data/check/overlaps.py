"""Faces that are in two places: in two splits, in two tasks, or twice in one split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from ciao_stream.data.check.duplicates import Duplicates, Pair
from ciao_stream.data.check.places import Checked, Ids, Place, comparable

EXAMPLES = 1000
"""Most pairs that are listed for two places; counts include all pairs."""


@dataclass(frozen=True, eq=False)
class Overlap:
    """Faces of one place that have duplicates in another one.

    Args:
        of: The place whose faces are counted: the test split if one of the two is a test split; within a task the
            later split; of two tasks the place with the greater share of its faces in the other one.
        within: Where these faces are too; it may be the same place.
        faces: Images of ``of`` that have a duplicate in ``within``, int64, ascending.
        faces_within: Images of ``within`` that have a duplicate in ``of``, int64, ascending.
        same_pixels: How many of ``faces`` have a duplicate with exactly the same pixels.
        pairs: Pairs of duplicates.
        other_label: How many of ``faces`` have a duplicate with another label; None if labels cannot be compared.
        examples: At most :data:`EXAMPLES` of the pairs.
    """

    of: Place
    within: Place
    faces: Ids
    faces_within: Ids
    same_pixels: int
    pairs: int
    other_label: int | None
    examples: list[Pair]

    @property
    def is_leak(self) -> bool:
        """Whether a face of a test split is in a training or validation split."""
        return self.of.is_test != self.within.is_test


@dataclass(frozen=True, eq=False)
class Sharing:
    """Two splits that read the same files; these images are not counted as duplicates.

    Args:
        one: A split.
        other: Another split.
        images: Number of images in both.
    """

    one: Place
    other: Place
    images: int

    @property
    def is_leak(self) -> bool:
        """Whether exactly one of the two is a test split."""
        return self.one.is_test != self.other.is_test


def find_overlaps(checked: Sequence[Checked], duplicates: Duplicates) -> list[Overlap]:
    """Return all overlaps within and across tasks.

    A pair that is within one task is not reported again across two tasks that share its images. Leaks are searched in
    all folds of a cross-validation, everything else in the first one.
    """
    found = [_overlap(one, other, duplicates) for one, other in _pairs_of_places(checked)]
    return [overlap for overlap in found if overlap.pairs]


def find_sharings(checked: Sequence[Checked]) -> list[Sharing]:
    """Return which splits share images, within each fold of a task and across the first folds of two tasks."""
    pairs = [pair for task in checked for fold in task.folds for pair in combinations(fold, 2)]
    pairs += [pair for a, b in combinations(checked, 2) for pair in product(a.places, b.places)]
    found = [Sharing(one, other, len(np.intersect1d(one.ids, other.ids))) for one, other in pairs]
    return [sharing for sharing in found if sharing.images]


def _pairs_of_places(checked: Sequence[Checked]) -> Iterator[tuple[Place, Place]]:
    for task in checked:
        for fold in task.folds:
            for one, other in (*((place, place) for place in fold), *combinations(fold[::-1], 2)):
                if fold is task.places or one.is_test != other.is_test:
                    yield one, other
    for a, b in combinations(checked, 2):
        in_a, in_b = a.ids(), b.ids()
        for one, other in product(a.places, b.places):
            yield one.without(in_b), other.without(in_a)


def _overlap(of: Place, within: Place, duplicates: Duplicates) -> Overlap:
    counts, back = duplicates.count(of.ids, within.ids), duplicates.count(within.ids, of.ids)
    more_of_it = (back > 0).sum() / len(within.data) > (counts > 0).sum() / len(of.data)
    if within.is_test > of.is_test or (within.is_test == of.is_test and of.task != within.task and more_of_it):
        of, within, counts, back = within, of, back, counts
    pairs = int(counts.sum()) // (2 if of.key == within.key else 1)
    return Overlap(
        of,
        within,
        np.unique(of.ids[counts > 0]),
        np.unique(within.ids[back > 0]),
        len(np.unique(of.ids[duplicates.count(of.ids, within.ids, near=False) > 0])),
        pairs,
        _other_label(of, within, duplicates) if pairs and comparable(of, within) else None,
        duplicates.pairs(of.ids, within.ids, EXAMPLES) if pairs else [],
    )


def _other_label(of: Place, within: Place, duplicates: Duplicates) -> int | None:
    """Count the faces of ``of`` that have a duplicate with another label in ``within``."""
    if of.labels is None or within.labels is None:
        return None
    differs = np.zeros(len(of.ids), dtype=bool)
    for label in np.unique(within.labels).tolist():
        counts = duplicates.count(of.ids, within.ids[within.labels == label])
        differs |= (counts > 0) & (of.labels != label)
    return len(np.unique(of.ids[differs]))
