"""SFEW 2.0: faces from movies, seven emotions, with a train and a val split of different people.

The labels of the authors' test split are private, so the literature reports val: here it is the test split, and
validation is a stratified tenth of train. Train and validation share movies; val has others.

The authors' aligned faces are preferred to folders named ``Train`` and ``Val``, which are read as faces too; in the
original download these contain whole movie frames (958 and 436), which must be cropped first.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.names import chosen_rule
from benchmarks.protocols.splits import carved_from_train
from ciao_stream.faces.dataset import TaskData
from ciao_stream.faces.readers.folders import find, missing
from ciao_stream.faces.task import EMOTIONS, TaskSpec

RULES: tuple[str, ...] = ("as annotated",)
"""Label rules; the first is the default."""

LAYOUT = "ROOT/sfew/{Train,Val}_Aligned_Faces/CLASS/*.png or ROOT/sfew/{Train,Val}/CLASS/*.png"
"""The files expected under the data root."""

SPEC = TaskSpec("sfew", "categorical", EMOTIONS[:7])

PROTOCOL = "official train; the authors' val as test (their test labels are private); validation carved from train"
"""How the splits are made."""

PUBLISHED = {
    "train+validation": {
        "neutral": 144, "happiness": 184, "surprise": 94, "sadness": 161, "anger": 178, "disgust": 52, "fear": 78,
    },
    "test": {
        "neutral": 84, "happiness": 72, "surprise": 56, "sadness": 73, "anger": 77, "disgust": 23, "fear": 46,
    },
}  # fmt: skip
"""Aligned faces, 891 and 431."""

_FOLDERS = ("sfew", "sfew_2.0", "sfew 2.0", "sfew-2.0", "sfew2.0", "sfew_2", "sfew2")
_ALIGNED = (("Train_Aligned_Faces",), ("Val_Aligned_Faces_new", "Val_Aligned_Faces"))
_PLAIN = (("Train",), ("Val", "Valid", "Validation"))


def load(root: Path, rule: str | None = None) -> TaskData:
    """Load SFEW 2.0; no image is decoded.

    Args:
        root: Folder that holds the data sets. Aligned faces are preferred.
        rule: One of :data:`RULES`, None for the first.

    Returns:
        Three splits with classes 0 to 6 in canonical order.

    Raises:
        DataError: The files are missing or damaged.
        UnknownNameError: There is no such rule.
    """
    chosen_rule(rule, RULES)
    for train_names, val_names in (_ALIGNED, _PLAIN):
        train, val = find(root, *_places(train_names)), find(root, *_places(val_names))
        if train and val:
            return carved_from_train(SPEC, (train, val), RULES[0], PROTOCOL, PUBLISHED)
    what = "no two folders with the faces of Train and of Val, both aligned or neither"
    raise missing("sfew", what, root, LAYOUT, [find(root, folder) for folder in _FOLDERS])


def _places(names: tuple[str, ...]) -> Iterator[str]:
    """Yield the possible folders of a split; some zips nest it in a folder of the same name."""
    for folder in _FOLDERS:
        for name in names:
            yield f"{folder}/{name}/{name}"
            yield f"{folder}/{name}"
