"""Which pictures show the same photograph: those of equal pixels, and those so near that a face would count twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ciao_stream.data.check.near import CORRELATION, Pairs, correlation, near_pairs, ones
from ciao_stream.data.check.pictures import Ids
from ciao_stream.data.check.scan import Looks

Numbers = npt.NDArray[np.int64]


class Pair(NamedTuple):
    """Two pictures that are duplicates."""

    one: int
    other: int
    how: Literal["same pixels", "near"]


@dataclass(frozen=True, eq=False)
class Duplicates:
    """The duplicates among pictures; what has none takes no part.

    Pictures of equal pixels and of one clip (or of none) are one unit, and every edge joins two units.

    Args:
        unit_of: int64 (pictures,), the unit of each picture that has a duplicate; -1 for all others.
        clip_of: int64 (units,), the clip, -1 for none. Pictures of one clip are no duplicates of each other.
        pixels_of: int64 (units,), the same for units of equal pixels.
        edges: int64 (M, 2), units that are near each other; each pair once.
    """

    unit_of: Ids
    clip_of: Numbers
    pixels_of: Numbers
    edges: Numbers

    def count(self, ids: Ids, among: Ids, *, near: bool = True) -> Numbers:
        """Count the duplicates that each of some pictures has among others, itself left out: int64 (len(ids),).

        Args:
            ids: Pictures.
            among: Pictures that may be their duplicates.
            near: Whether near ones count, or equal pixels only.
        """
        among = self._with_a_duplicate(among)
        there = np.bincount(self.unit_of[among], minlength=len(self.clip_of))
        in_clip = self.clip_of >= 0
        seen = np.bincount(self.pixels_of, weights=there, minlength=len(there))[self.pixels_of]
        seen[in_clip] -= there[in_clip]
        for one, other in (self.edges.T, self.edges.T[::-1]) if near else ():
            seen += np.bincount(one, weights=there[other], minlength=len(there))
        counts = np.zeros(len(ids), dtype=np.int64)
        known = np.flatnonzero(self.unit_of[ids] >= 0)
        units = self.unit_of[ids[known]]
        counts[known] = seen[units].astype(np.int64) - (np.isin(ids[known], among) & ~in_clip[units])
        return counts

    def pairs(self, ids: Ids, among: Ids, limit: int) -> list[Pair]:
        """List pairs of duplicates, one of ``ids`` and one of ``among``, each once; at most ``limit``."""
        among = self._with_a_duplicate(among)
        by_unit = _Grouped(among, self.unit_of[among])
        by_pixels = _Grouped(among, self.pixels_of[self.unit_of[among]])
        found: dict[tuple[int, int], Pair] = {}
        for one in np.unique(ids[self.count(ids, among) > 0]).tolist():
            unit = int(self.unit_of[one])
            same = by_pixels.of(int(self.pixels_of[unit]))
            same = same[(same != one) & ((self.clip_of[unit] < 0) | (self.unit_of[same] != unit))]
            near = [other for beside in self._beside.of(unit) for other in by_unit.of(int(self._ends[beside]))]
            for other, how in (*product(same.tolist(), ["same pixels"]), *product(map(int, near), ["near"])):
                found.setdefault((min(one, other), max(one, other)), Pair(one, other, how))  # type: ignore[arg-type]
                if len(found) == limit:
                    return list(found.values())
        return list(found.values())

    def _with_a_duplicate(self, ids: Ids) -> Ids:
        return np.unique(ids[self.unit_of[ids] >= 0])

    @cached_property
    def _ends(self) -> Numbers:
        """The far end of each edge, in both directions."""
        return np.concatenate([self.edges[:, 1], self.edges[:, 0]])

    @cached_property
    def _beside(self) -> _Grouped:
        """The edges that begin at a unit, as indices of ``_ends``."""
        begins = np.concatenate([self.edges[:, 0], self.edges[:, 1]])
        return _Grouped(np.arange(len(begins)), begins)


class _Grouped:
    """Things by the group that they are in.

    Args:
        things: int64 (N,).
        groups: int64 (N,), the group of each.
    """

    def __init__(self, things: Numbers, groups: Numbers) -> None:
        order = np.argsort(groups, kind="stable")
        self._things, self._groups = things[order], groups[order]

    def of(self, group: int) -> Numbers:
        """Return the things in a group."""
        return self._things[slice(*np.searchsorted(self._groups, [group, group + 1]))]


def find_duplicates(looks: Looks, clips: Numbers) -> Duplicates:
    """Find all duplicates among pictures.

    Flat pictures, whose hashes mean nothing, are duplicates only where their pixels are equal.

    Args:
        looks: (N,), what is kept of each picture.
        clips: int64 (N,), the clip that each picture is a frame of, -1 for none.
    """
    readable = np.flatnonzero(looks["readable"])
    _, first, pixels = np.unique(looks["digest"][readable], return_index=True, return_inverse=True)
    units, unit_of_readable = np.unique(np.stack([pixels, clips[readable]], axis=1), axis=0, return_inverse=True)
    unit_of_readable = unit_of_readable.ravel()  # numpy 2.0 gave it another shape
    first_unit = np.searchsorted(units[:, 0], np.arange(len(first) + 1))
    edges = np.concatenate([np.zeros((0, 2), dtype=np.int64), *_edges(looks[readable[first]], units[:, 1], first_unit)])
    with_duplicate = np.bincount(pixels, minlength=len(first))[units[:, 0]] > 1
    with_duplicate[edges] = True
    renumbered = np.where(with_duplicate, np.cumsum(with_duplicate) - 1, -1)
    unit_of = np.full(len(looks), -1, dtype=np.int64)
    unit_of[readable] = renumbered[unit_of_readable]
    kept = units[with_duplicate]
    return Duplicates(unit_of, kept[:, 1], np.unique(kept[:, 0], return_inverse=True)[1].ravel(), renumbered[edges])


def how_near(looks: Looks, pair: Pair) -> tuple[int, float]:
    """Return in how many bits the hashes of two pictures differ, and the correlation of their thumbnails."""
    one, other = np.array([pair.one]), np.array([pair.other])
    bits = ones(looks["hash"][one] ^ looks["hash"][other])
    return int(bits[0]), float(correlation(looks["thumbnail"], one, other)[0])


def _edges(looks: Looks, clip_of: Numbers, first_unit: Numbers) -> Iterator[Numbers]:
    """Yield pairs of units that are near each other and in no common clip, int64 (M, 2) each time.

    Args:
        looks: (N,), of each different picture.
        clip_of: int64 (units,), the clip of each unit.
        first_unit: int64 (N + 1,), where the units of each different picture begin.
    """
    textured = np.flatnonzero(~looks["flat"])
    thumbnails = looks["thumbnail"][textured]
    for i, j in near_pairs(looks["hash"][textured]):
        alike = correlation(thumbnails, i, j) >= CORRELATION
        one, other = _units_of(textured[i[alike]], textured[j[alike]], first_unit)
        apart = (clip_of[one] < 0) | (clip_of[one] != clip_of[other])
        yield np.stack([one[apart], other[apart]], axis=1)


def _units_of(i: Numbers, j: Numbers, first_unit: Numbers) -> Pairs:
    """Return every unit of i with every unit of j."""
    n_i, n_j = np.diff(first_unit)[i], np.diff(first_unit)[j]
    each = np.repeat(np.arange(len(i)), n_i * n_j)
    place = np.arange(len(each)) - np.repeat(np.cumsum(n_i * n_j) - n_i * n_j, n_i * n_j)
    return first_unit[i][each] + place // n_j[each], first_unit[j][each] + place % n_j[each]
