"""What users call their tasks, classes and splits, in folders and in csv files of their own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import Path

from ciao_stream.exceptions import CiaoError, DataError, UnknownNameError
from ciao_stream.faces.dataset import SPLITS, Split
from ciao_stream.faces.readers.labels import canonical
from ciao_stream.faces.task import EMOTIONS, Kind, TaskSpec

SPLIT_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid"),
    "test": ("test", "testing"),
}
"""Names of the splits, the usual one first; case does not matter."""

TEST_SHARE, TEST_SEED = 0.2, 1
"""How a test split is carved where the user gives none; validation is carved from the rest, with seed 0."""


def task_spec(path: Path, name: str, kind: Kind, labels: Sequence[str]) -> TaskSpec:
    """Return the spec of a task that is named after its folder or file.

    Args:
        path: The folder or file, for errors.
        name: The task's name.
        kind: Kind of its targets.
        labels: Names of its outputs, in order.

    Raises:
        DataError: The name or the labels will not do.
    """
    if taken := [sign for sign in ",:" if sign in name]:
        raise DataError(f"{path}: {name!r} cannot name a task, for {taken[0]!r} separates tasks and rules; rename it")
    try:
        return TaskSpec(name, kind, tuple(labels))
    except CiaoError as error:
        raise DataError(f"{path}: {error}") from error


def split_called(name: str) -> Split | None:
    """Return the split that a name stands for, None for any other name.

    >>> split_called("Valid"), split_called("happy")
    ('validation', None)
    """
    word = name.strip().lower()
    return next((split for split in SPLITS if word in SPLIT_NAMES[split]), None)


def as_emotions(names: Collection[str]) -> list[str] | None:
    """Return the canonical name of each, None if one of them is no known name of an emotion.

    >>> as_emotions(["joy", "Sad"]), as_emotions(["joy", "bored"])
    (['happiness', 'sadness'], None)
    """
    try:
        return [canonical(name) for name in names]
    except UnknownNameError:
        return None


def class_labels(names: Collection[str]) -> tuple[str, ...]:
    """Return the labels of classes that a user named: emotions in canonical order, or the names, sorted.

    Args:
        names: Every name in use, each once.

    Returns:
        The canonical names of the emotions present if all names are names of emotions; else the names as they are,
        sorted without regard to case.

    Raises:
        DataError: Two names differ in case only.

    >>> class_labels(["sad", "Happy", "joy"]), class_labels(["tired", "Bored", "happy"])
    (('happiness', 'sadness'), ('Bored', 'happy', 'tired'))
    """
    if emotions := as_emotions(names):
        return tuple(emotion for emotion in EMOTIONS if emotion in emotions)
    ordered = sorted(names, key=lambda name: (name.casefold(), name))
    for one, other in pairwise(ordered):
        if one.casefold() == other.casefold():
            raise DataError(f"the classes {one!r} and {other!r} differ in case only; write them alike")
    return tuple(ordered)


def class_called(name: str, labels: Sequence[str], what: str = "class") -> str:
    """Return which of a task's labels a name stands for: see :func:`class_labels`.

    Args:
        name: A class's name.
        labels: What :func:`class_labels` returned.
        what: What such a name is called in an error (``class folder``).

    Raises:
        UnknownNameError: It stands for none of them.
    """
    if set(labels) <= set(EMOTIONS):
        return canonical(name, labels, what)
    for label in labels:
        if label.casefold() == name.casefold():
            return label
    raise UnknownNameError(what, name, labels)
