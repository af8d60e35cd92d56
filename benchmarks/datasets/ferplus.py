"""FER+: FER2013's faces, labelled again by ten annotators each; eight emotions.

Faces, splits and image source are those of :mod:`benchmarks.datasets.fer`, so faces are encoded once for both. The rule
only makes the training labels: validation and test always use ``majority``, as in the official ``train.py``.

``fer2013new.csv`` has ten annotators' votes for each face of FER2013, row i for row i.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.datasets.fer import FACES, VOTES, fer_missing
from benchmarks.names import chosen_rule
from benchmarks.protocols import votes
from benchmarks.protocols.votes import COLUMNS
from ciao_stream.exceptions import DataError
from ciao_stream.faces.dataset import SPLITS, FaceDataset, Split, TaskData
from ciao_stream.faces.readers.csv_lines import Line, cell_text, find_columns, read_lines, split_cells
from ciao_stream.faces.readers.folders import find
from ciao_stream.faces.readers.pixel_csv import PixelTable, read_usage, scan
from ciao_stream.faces.task import EMOTIONS, TaskSpec

RULES: tuple[str, ...] = votes.RULES
"""Label rules, see :mod:`benchmarks.protocols.votes`; the first is the default."""

LAYOUT = (
    "ROOT/ferplus/fer2013new.csv (columns Usage, Image name and ten of votes) "
    "and ROOT/fer2013/fer2013.csv (columns emotion, pixels, Usage) or ROOT/fer2013/icml_face_data.csv"
)
"""The files expected under the data root."""

SPEC = TaskSpec("ferplus", "votes", EMOTIONS)

COUNTS: dict[str, int | tuple[int, ...]] = {
    "majority": (8740, 7287, 3149, 3014, 2100, 119, 532, 119),
    "probability": (10122, 7503, 3524, 3430, 2407, 169, 641, 160),
    "multi_target": 27671,
    "argmax": 28389,
    "argmax8": 28561,
}
"""Training faces of the official file that each rule keeps: per label, or in all if ties have no defined order."""

EVALUATED = {
    "validation": (1182, 865, 415, 351, 287, 24, 62, 13),
    "test": (1090, 893, 396, 384, 273, 18, 83, 16),
}
"""Faces of the other splits that ``majority`` keeps."""


def load(root: Path, rule: str | None = None) -> TaskData:
    """Load FER+; no image is decoded.

    Args:
        root: Folder that holds the data sets.
        rule: How the training labels are made, one of :data:`RULES`, None for the first.

    Returns:
        Three splits with shares of eight emotions, float32 (N, 8); the images are uint8 (48, 48).

    Raises:
        DataError: A file is missing or damaged, or the two files do not match.
        UnknownNameError: There is no such rule.
    """
    rule = chosen_rule(rule, RULES)
    votes_csv, faces_csv = find(root, *VOTES), find(root, *FACES)
    if votes_csv is None:
        raise fer_missing("ferplus", "no votes (fer2013new.csv)", root, LAYOUT)
    if faces_csv is None:
        raise fer_missing(
            "ferplus", "no csv with the faces (FER2013's folder version has lost their order)", root, LAYOUT
        )
    table = read_votes(votes_csv)
    faces = scan(faces_csv)
    _check_aligned(table, faces)
    return TaskData(
        _dataset(table, faces, "train", rule),
        _dataset(table, faces, "validation", RULES[0]),
        _dataset(table, faces, "test", RULES[0]),
        published=published(rule),
    )


def published(rule: str) -> dict[str, int | dict[str, int]]:
    """Return how many faces of the official file a rule keeps, by split: per label or in all."""
    return {
        split: counts if isinstance(counts, int) else dict(zip(SPEC.labels, counts, strict=True))
        for split, counts in {"train": COUNTS[rule], **EVALUATED}.items()
    }


def _dataset(table: VoteTable, faces: PixelTable, split: Split, rule: str) -> FaceDataset:
    """Load one split: the rows of its image source that the rule keeps."""
    of_split = faces.rows(split)
    named = table.named[of_split]
    keep, shares = votes.apply_rule(table.votes[of_split], rule)
    dropped = {"no image name": int((~named).sum()), f"no emotion by {rule}": int((named & ~keep).sum())}
    rows = np.flatnonzero(named & keep)
    return FaceDataset(SPEC, split, faces.source(split), rows, shares[rows], "real", label_rule=rule, dropped=dropped)


@dataclass(frozen=True, eq=False)
class VoteTable:
    """The rows of a votes file.

    Args:
        path: The csv file.
        splits: int64 (N,), index into :data:`ciao_stream.faces.dataset.SPLITS`.
        named: bool (N,), whether the row has an image name; FER+ drops the others (173, not faces).
        votes: int64 (N, 10), at least 0, in the order of :data:`benchmarks.protocols.votes.COLUMNS`.
        lines: int64 (N,), line in the file, from 1.
    """

    path: Path
    splits: npt.NDArray[np.int64]
    named: npt.NDArray[np.bool_]
    votes: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]


def read_votes(path: Path) -> VoteTable:
    """Read a votes file; columns are found by name.

    Raises:
        DataError: The file is missing, empty, truncated or not text, a column is missing, or a row has an unknown
            Usage, a vote that is not an integer >= 0, or no votes. The message names file and line.
    """
    lines = read_lines(path)
    columns, width = find_columns(next(lines, None), ("Usage", "Image name", *COLUMNS), path)
    splits: list[int] = []
    named: list[bool] = []
    votes: list[list[int]] = []
    numbers: list[int] = []
    for line in lines:
        cells = split_cells(line, width)
        usage, name, *counts = (cells[column] for column in columns)
        splits.append(read_usage(usage, line))
        named.append(cell_text(name, line) != "")
        votes.append(_read_counts(counts, line))
        numbers.append(line.number)
    return VoteTable(
        path,
        np.array(splits, dtype=np.int64),
        np.array(named, dtype=bool),
        np.array(votes, dtype=np.int64).reshape(-1, len(COLUMNS)),
        np.array(numbers, dtype=np.int64),
    )


def _check_aligned(votes: VoteTable, faces: PixelTable) -> None:
    """Check that row i of the votes belongs to row i of the faces, as far as the files show."""
    if len(votes.lines) != len(faces.lines):
        raise DataError(
            f"{votes.path} has {len(votes.lines):,} rows but {faces.path} has {len(faces.lines):,}: "
            "row i of one belongs to row i of the other; get both files in full"
        )
    if (differ := votes.splits != faces.splits).any():
        row = int(differ.argmax())
        raise DataError(
            f"{votes.path}, line {votes.lines[row]}: Usage {SPLITS[votes.splits[row]]} but "
            f"{SPLITS[faces.splits[row]]} in {faces.path}, line {faces.lines[row]}: "
            "the files are not in the same order; get both again"
        )


def _read_counts(cells: list[bytes], line: Line) -> list[int]:
    """Return the votes of one row."""
    counts = []
    for name, cell in zip(COLUMNS, cells, strict=True):
        text = cell_text(cell, line)
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            raise DataError(f"{line.where}: {text[:20]!r} votes for {name}; expected an integer from 0 up")
        counts.append(int(text))
    if not any(counts):
        raise DataError(f"{line.where}: no votes (all {len(COLUMNS)} columns are 0); get the file again")
    return counts
