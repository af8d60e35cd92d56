"""Names of tasks, classes and splits in a user's own folders and csv files."""

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
"""Share and seed of a test split that is carved; validation is carved from the rest, with seed 0."""


def task_spec(path: Path, name: str, kind: Kind, labels: Sequence[str]) -> TaskSpec:
    """Return the specification of a task with the name of its folder or file.

    Args:
        path: The folder or file, for errors.
        name: The task's name.
        kind: Kind of its targets.
        labels: Names of its outputs, in order.

    Raises:
        DataError: The name or the labels are not allowed.
    """
    if taken := [sign for sign in ",:" if sign in name]:
        raise DataError(
            f"{path}: {name!r} cannot be the name of a task, because {taken[0]!r} separates tasks and rules; rename it"
        )
    try:
        return TaskSpec(name, kind, tuple(labels))
    except CiaoError as error:
        raise DataError(f"{path}: {error}") from error


def split_called(name: str) -> Split | None:
    """Return the split of that name, None for any other name.

    >>> split_called("Valid"), split_called("happy")
    ('validation', None)
    """
    word = name.strip().lower()
    return next((split for split in SPLITS if word in SPLIT_NAMES[split]), None)


def as_emotions(names: Collection[str]) -> list[str] | None:
    """Return the canonical name of each emotion, None if a name is not an emotion.

    >>> as_emotions(["joy", "Sad"]), as_emotions(["joy", "bored"])
    (['happiness', 'sadness'], None)
    """
    try:
        return [canonical(name) for name in names]
    except UnknownNameError:
        return None


def class_labels(names: Collection[str]) -> tuple[str, ...]:
    """Return the labels for a user's classes: emotions in canonical order, or the names, sorted.

    Args:
        names: Every name in use, each once.

    Returns:
        The canonical names of the emotions if all names are emotions; else the names, sorted ignoring case.

    Raises:
        DataError: Two names differ only in case.

    >>> class_labels(["sad", "Happy", "joy"]), class_labels(["tired", "Bored", "happy"])
    (('happiness', 'sadness'), ('Bored', 'happy', 'tired'))
    """
    if emotions := as_emotions(names):
        return tuple(emotion for emotion in EMOTIONS if emotion in emotions)
    ordered = sorted(names, key=lambda name: (name.casefold(), name))
    for one, other in pairwise(ordered):
        if one.casefold() == other.casefold():
            raise DataError(f"the classes {one!r} and {other!r} differ only in case; spell them the same")
    return tuple(ordered)


def class_called(name: str, labels: Sequence[str], what: str = "class") -> str:
    """Return the label for the name of a class, see :func:`class_labels`.

    Args:
        name: A class's name.
        labels: What :func:`class_labels` returned.
        what: What such a name is called in an error (``class folder``).

    Raises:
        UnknownNameError: There is no such label.
    """
    if set(labels) <= set(EMOTIONS):
        return canonical(name, labels, what)
    for label in labels:
        if label.casefold() == name.casefold():
            return label
    raise UnknownNameError(what, name, labels)
