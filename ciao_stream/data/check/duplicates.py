"""Which images show the same photograph: those of equal pixels, and those so near that a face would count twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ciao_stream.data.check.places import Ids
from ciao_stream.data.check.scan import Summaries

RADIUS = 8
"""Bits in which the hashes of two duplicates may differ."""

CORRELATION = 0.96
"""Least correlation of the thumbnails of two duplicates."""

BANDS = ((0, 22), (22, 21), (43, 21))
"""First bit and number of bits of each band."""

PAIRS_AT_ONCE = 1 << 20

Numbers = npt.NDArray[np.int64]

Pairs = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
Correlations = npt.NDArray[np.float32]


def near_pairs(hashes: npt.NDArray[np.uint64], radius: int = RADIUS) -> Iterator[Pairs]:
    """Find all pairs of hashes that differ in at most ``radius`` bits, without comparing all pairs.

    Two hashes that differ in ``radius`` bits differ in at most a third of these in one of three bands [1]. For each
    band, a table gives the hashes with each value; it is searched for every value that is near enough.

    Args:
        hashes: uint64 (N,).
        radius: Bits that may differ. Three more take about twenty times as long.

    Yields:
        Positions i < j of each pair, int64 (M,) each, every pair once; at most about :data:`PAIRS_AT_ONCE` at a time.

    [1] Norouzi, Punjani, Fleet, "Fast search in Hamming space with multi-index hashing", CVPR 2012.
    """
    within = radius // len(BANDS)
    for band, (_, width) in enumerate(BANDS):
        values = _band(hashes, band)
        order = np.argsort(values, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(values, minlength=1 << width))])
        for flips in _flips(width, within):
            asked = values ^ flips
            for i, j in _matches(starts[asked], starts[asked + 1]):
                j = order[j]
                i, j = i[i < j], j[i < j]
                differing = hashes[i] ^ hashes[j]
                new = ones(differing) <= radius
                for earlier in range(band):
                    new &= ones(_band(differing, earlier).astype(np.uint64)) > within
                if new.any():
                    yield i[new], j[new]


def ones(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Count the bits that are set: int64 (N,)."""
    return _ONES[np.ascontiguousarray(values).view(np.uint16)].reshape(-1, 4).sum(axis=1, dtype=np.int64)


def correlation(thumbnails: npt.NDArray[np.uint8], i: npt.NDArray[np.int64], j: npt.NDArray[np.int64]) -> Correlations:
    """Return the correlation of the gray values of pairs of thumbnails: float32 (M,).

    Args:
        thumbnails: uint8 (N, pixels), none of them a single shade.
        i: int64 (M,), one of each pair.
        j: int64 (M,), the other.
    """
    at_once = 1 << 14
    parts = [
        _correlation(thumbnails[i[start : start + at_once]], thumbnails[j[start : start + at_once]])
        for start in range(0, len(i), at_once)
    ]
    return np.concatenate([np.zeros(0, dtype=np.float32), *parts])


_ONES = np.array([value.bit_count() for value in range(1 << 16)], dtype=np.uint8)


def _band(hashes: npt.NDArray[np.uint64], band: int) -> npt.NDArray[np.int64]:
    first, width = BANDS[band]
    return ((hashes >> np.uint64(first)) & np.uint64((1 << width) - 1)).astype(np.int64)


def _flips(width: int, within: int) -> list[int]:
    """Return all values of ``width`` bits of which at most ``within`` are set."""
    return [sum(1 << bit for bit in bits) for n in range(within + 1) for bits in combinations(range(width), n)]


def _matches(starts: npt.NDArray[np.int64], stops: npt.NDArray[np.int64]) -> Iterator[Pairs]:
    """Yield each position with each number from its start up to its stop, a limited number of pairs at a time."""
    positions = np.flatnonzero(stops > starts)
    starts, lengths = starts[positions], (stops - starts)[positions]
    ends = np.cumsum(lengths)
    done = 0
    while done < len(positions):
        before = ends[done] - lengths[done]
        upto = max(int(np.searchsorted(ends, before + PAIRS_AT_ONCE, side="right")), done + 1)
        part = slice(done, upto)
        repeated = np.repeat(positions[part], lengths[part])
        offsets = np.arange(len(repeated)) - np.repeat(ends[part] - lengths[part] - before, lengths[part])
        yield repeated, np.repeat(starts[part], lengths[part]) + offsets
        done = upto


def _correlation(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> Correlations:
    def centred(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        centre: npt.NDArray[np.float32] = values.mean(axis=1, keepdims=True, dtype=np.float32)
        return values - centre  # type: ignore[return-value]

    x, y = centred(a), centred(b)
    return (x * y).sum(axis=1) / np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))  # type: ignore[no-any-return, return-value]


class Pair(NamedTuple):
    """A pair of duplicates."""

    one: int
    other: int
    how: Literal["same pixels", "near"]


@dataclass(frozen=True, eq=False)
class Duplicates:
    """The duplicates among images; images without a duplicate are not stored.

    Images of equal pixels and of one clip (or of none) are one unit, and every edge joins two units.

    Args:
        unit_of: int64 (images,), the unit of each image that has a duplicate, else -1.
        clip_of: int64 (units,), the clip, -1 for none. Frames of one clip do not count as duplicates of each other.
        pixels_of: int64 (units,), the same for units of equal pixels.
        edges: int64 (M, 2), units that are near each other; each pair once.
    """

    unit_of: Ids
    clip_of: Numbers
    pixels_of: Numbers
    edges: Numbers

    def count(self, ids: Ids, among: Ids, *, near: bool = True) -> Numbers:
        """Count the duplicates that each image has among others, itself excluded: int64 (len(ids),).

        Args:
            ids: Numbers of images.
            among: UniqueNumbers of images that may be their duplicates.
            near: Whether near duplicates count, or equal pixels only.
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
            near = [other for edge in self._near_edges.of(unit) for other in by_unit.of(int(self._ends[edge]))]
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
    def _near_edges(self) -> _Grouped:
        """The edges that begin at a unit, as indices of ``_ends``."""
        begins = np.concatenate([self.edges[:, 0], self.edges[:, 1]])
        return _Grouped(np.arange(len(begins)), begins)


class _Grouped:
    """Items by group.

    Args:
        items: int64 (N,).
        groups: int64 (N,), the group of each item.
    """

    def __init__(self, items: Numbers, groups: Numbers) -> None:
        order = np.argsort(groups, kind="stable")
        self._items, self._groups = items[order], groups[order]

    def of(self, group: int) -> Numbers:
        """Return the items of a group."""
        return self._items[slice(*np.searchsorted(self._groups, [group, group + 1]))]


def find_duplicates(summaries: Summaries, clips: Numbers) -> Duplicates:
    """Find all duplicates among images.

    Flat images are duplicates only if their pixels are equal: their hashes are noise.

    Args:
        summaries: (N,), the summary of each image.
        clips: int64 (N,), the clip of each image, -1 for none.
    """
    readable = np.flatnonzero(summaries["readable"])
    _, first, pixels = np.unique(summaries["digest"][readable], return_index=True, return_inverse=True)
    units, unit_of_readable = np.unique(np.stack([pixels, clips[readable]], axis=1), axis=0, return_inverse=True)
    unit_of_readable = unit_of_readable.ravel()  # numpy 2.0 gave it another shape
    first_unit = np.searchsorted(units[:, 0], np.arange(len(first) + 1))
    edges = np.concatenate(
        [np.zeros((0, 2), dtype=np.int64), *_edges(summaries[readable[first]], units[:, 1], first_unit)]
    )
    with_duplicate = np.bincount(pixels, minlength=len(first))[units[:, 0]] > 1
    with_duplicate[edges] = True
    renumbered = np.where(with_duplicate, np.cumsum(with_duplicate) - 1, -1)
    unit_of = np.full(len(summaries), -1, dtype=np.int64)
    unit_of[readable] = renumbered[unit_of_readable]
    kept = units[with_duplicate]
    return Duplicates(unit_of, kept[:, 1], np.unique(kept[:, 0], return_inverse=True)[1].ravel(), renumbered[edges])


def how_near(summaries: Summaries, pair: Pair) -> tuple[int, float]:
    """Return in how many bits the hashes of two images differ, and the correlation of their thumbnails."""
    one, other = np.array([pair.one]), np.array([pair.other])
    bits = ones(summaries["hash"][one] ^ summaries["hash"][other])
    return int(bits[0]), float(correlation(summaries["thumbnail"], one, other)[0])


def _edges(summaries: Summaries, clip_of: Numbers, first_unit: Numbers) -> Iterator[Numbers]:
    """Yield pairs of units that are near each other and not of one clip, int64 (M, 2) each time.

    Args:
        summaries: (N,), one for each distinct image.
        clip_of: int64 (units,), the clip of each unit.
        first_unit: int64 (N + 1,), where the units of each distinct image begin.
    """
    textured = np.flatnonzero(~summaries["flat"])
    thumbnails = summaries["thumbnail"][textured]
    for i, j in near_pairs(summaries["hash"][textured]):
        alike = correlation(thumbnails, i, j) >= CORRELATION
        one, other = _units_of(textured[i[alike]], textured[j[alike]], first_unit)
        apart = (clip_of[one] < 0) | (clip_of[one] != clip_of[other])
        yield np.stack([one[apart], other[apart]], axis=1)


def _units_of(i: Numbers, j: Numbers, first_unit: Numbers) -> Pairs:
    """Return each pair of a unit of i and a unit of j."""
    n_i, n_j = np.diff(first_unit)[i], np.diff(first_unit)[j]
    each = np.repeat(np.arange(len(i)), n_i * n_j)
    place = np.arange(len(each)) - np.repeat(np.cumsum(n_i * n_j) - n_i * n_j, n_i * n_j)
    return first_unit[i][each] + place // n_j[each], first_unit[j][each] + place % n_j[each]
