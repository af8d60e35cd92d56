"""FER+: FER2013's faces, labelled anew by ten annotators each; eight emotions.

The faces and splits are those of :mod:`benchmarks.datasets.fer`, from the same image source, so that features are
encoded once for both. The rule makes the training labels only: validation and test are judged by ``majority``,
whatever the rule, as in the official ``train.py``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.datasets._fer2013 import FACES, VOTES, fer_missing
from benchmarks.datasets._vote_csv import VoteTable, check_aligned, read_votes
from benchmarks.protocols import votes
from benchmarks.protocols.rules import chosen_rule
from ciao_stream.faces.dataset import FaceDataset, Split, TaskData
from ciao_stream.faces.readers.layout import find
from ciao_stream.faces.readers.pixel_csv import PixelTable, scan
from ciao_stream.faces.task import EMOTIONS, TaskSpec

RULES: tuple[str, ...] = votes.RULES
"""Label rules on offer, described in :mod:`benchmarks.protocols.votes`; the first is the default."""

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
"""Training faces that each rule keeps of the official file: per label, or in all where ties have no one order."""

JUDGED = {
    "validation": (1182, 865, 415, 351, 287, 24, 62, 13),
    "test": (1090, 893, 396, 384, 273, 18, 83, 16),
}
"""Faces that ``majority`` keeps of the other splits."""


def load(root: Path, rule: str | None = None) -> TaskData:
    """Load FER+; no image is decoded.

    Args:
        root: Folder that holds the data sets.
        rule: How the training labels are made, one of :data:`RULES`, None for the first.

    Returns:
        Three splits with shares of eight emotions, float32 (N, 8); the images are uint8 (48, 48).

    Raises:
        DataError: A file is missing or damaged, or the two files do not belong together.
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
    check_aligned(table, faces)
    return TaskData(
        _dataset(table, faces, "train", rule),
        _dataset(table, faces, "validation", RULES[0]),
        _dataset(table, faces, "test", RULES[0]),
        published=published(rule),
    )


def published(rule: str) -> dict[str, int | dict[str, int]]:
    """Return how many faces of the official file a rule keeps, by split: per label, or in all."""
    return {
        split: counts if isinstance(counts, int) else dict(zip(SPEC.labels, counts, strict=True))
        for split, counts in {"train": COUNTS[rule], **JUDGED}.items()
    }


def _dataset(table: VoteTable, faces: PixelTable, split: Split, rule: str) -> FaceDataset:
    """Make one split: the rows of its image source that the rule keeps."""
    of_split = faces.rows(split)
    named = table.named[of_split]
    keep, shares = votes.apply_rule(table.votes[of_split], rule)
    dropped = {"no image name": int((~named).sum()), f"no emotion by {rule}": int((named & ~keep).sum())}
    rows = np.flatnonzero(named & keep)
    return FaceDataset(SPEC, split, faces.source(split), rows, shares[rows], "real", label_rule=rule, dropped=dropped)
