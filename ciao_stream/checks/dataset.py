"""What every data set promises, as checks that run in seconds, on ours in the tests and on your own.

::

    from ciao_stream.checks import check_dataset

    check_dataset(lambda: my_dataset.load(Path("/data")), name="my-dataset")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.reduction import ForkingPickler
from typing import Any
from unittest import mock

import numpy as np

from ciao_stream.checks import ContractError, checks_of, require, run_checks
from ciao_stream.faces.dataset import SPLITS, TaskData
from ciao_stream.faces.task import EMOTIONS
from ciao_stream.runtime.expect import described

DECODED = 8
"""Images per split that are decoded."""


def check_dataset(load: Callable[[], TaskData], name: str | None = None) -> TaskData:
    """Check all promises of a data set.

    Args:
        load: Loads it; called twice.
        name: The name that the task must have; None for any.

    Returns:
        The data set.

    Raises:
        ContractError: It breaks a promise.
    """
    require(callable(load), f"expected a function that loads the data set but got {described(load)}")
    with _decoding_forbidden():
        data = load()
    require(isinstance(data, TaskData), f"expected the function to return TaskData but got {described(data)}")
    require(name in (None, data.spec.name), f"its name is {data.spec.name!r}")
    checks = [*CHECKS, lambda first: _require_equal(first, load(), "loaded a second time, it differs")]
    run_checks(f"task {data.spec.name!r}", checks, data)
    return data


def check_names_its_folds(data: TaskData) -> None:
    """The folds have unique names, and the data set is the first of them."""
    if data.folds:
        require(data.fold == data.folds[0].fold, "the task that is returned is not the first of its folds")
        names = [fold.fold for fold in data.folds]
        require(len(set(names)) == len(names) and all(names), f"its folds have no unique names: {names}")


def check_arrays_have_the_types_of_their_kind(data: TaskData) -> None:
    """Targets and rows have the types that the kind of target asks for, and every row is an image."""
    for fold in data.every_fold:
        for split in fold.splits():
            where = f"split {split.split!r}"
            require(split.spec == fold.spec, f"{where}: its specification differs from that of train")
            wanted = np.int64 if split.spec.kind == "categorical" else np.float32
            found = split.targets.dtype
            require(found == wanted, f"{where}: targets are {found}; expected {wanted.__name__}")
            require(split.rows.dtype == np.int64, f"{where}: rows are {split.rows.dtype}; expected int64")
            require(
                bool(split.rows.min() >= 0 and split.rows.max() < len(split.images)), f"{where}: a row has no image"
            )
            require(len(np.unique(split.rows)) == len(split.rows), f"{where}: contains an image twice")


def check_says_how_it_was_made(data: TaskData) -> None:
    """Source, label rule, protocol and dropped samples are given."""
    for fold in data.every_fold:
        require(bool(fold.protocol), "its protocol does not say how the splits were made")
        for split in fold.splits():
            where = f"split {split.split!r}"
            require(split.source == "real", f"{where}: its source is {split.source!r}; expected 'real'")
            require(bool(split.label_rule), f"{where}: its label rule does not say how labels were made")
            counts = split.dropped.values()
            require(
                all(isinstance(n, int) and n >= 0 for n in counts), f"{where}: dropped has a value that is not a count"
            )


def check_keeps_splits_apart(data: TaskData) -> None:
    """No image is in two splits; a person is in both train and test only if the protocol says so."""
    for fold in data.every_fold:
        seen: set[tuple[str, int]] = set()
        for split in fold.splits():
            own = {(split.images.fingerprint, int(row)) for row in split.rows}
            require(not own & seen, f"split {split.split!r} shares an image with another split")
            seen |= own
        shared = fold.shared_subjects()
        admitted = "identit" in fold.protocol or "official" in fold.protocol
        require(not shared or admitted, f"{shared} are in both train and test, and the protocol does not say so")


def check_has_canonical_labels_to_train_on(data: TaskData) -> None:
    """Emotions are in canonical order, and every label has a training sample."""
    labels = data.spec.labels
    if data.spec.kind == "dimensional":
        return
    if set(labels) <= set(EMOTIONS):
        order = [EMOTIONS.index(label) for label in labels]
        require(order == sorted(order), f"its labels are not in canonical order: {', '.join(labels)}")
    for label, n in data.train.counts().items():
        require(n > 0, f"no sample to train {label!r} on")


def check_decodes_to_gray_or_rgb(data: TaskData) -> None:
    """Images are uint8, gray or RGB, and the same each time they are read."""
    for split in data.splits():
        for index in map(int, np.linspace(0, len(split) - 1, min(DECODED, len(split))).astype(int)):
            image = split.image(index)
            where = f"image {index} of split {split.split!r}"
            require(image.dtype == np.uint8, f"{where} is {image.dtype}; expected uint8")
            gray, colour = image.ndim == 2, image.ndim == 3 and image.shape[2] == 3
            require(
                (gray or colour) and image.size > 0, f"{where} has shape {image.shape}; expected (H, W) or (H, W, 3)"
            )
            require(np.array_equal(image, split.image(index)), f"{where} differs when it is read a second time")


def check_publishes_counts_of_its_splits_and_labels(data: TaskData) -> None:
    """Published counts are of splits and labels that exist."""
    for key, count in data.published.items():
        known = set(key.split("+")) <= set(SPLITS)
        require(known, f"published counts are for {key!r}; expected names of splits joined by +")
        if not isinstance(count, int):
            require(set(count) <= set(data.spec.labels), f"published counts of {key} have unknown labels")


def check_is_the_same_in_another_process(data: TaskData) -> None:
    """It can be pickled, and a copy gives the same samples."""
    _require_equal(data, ForkingPickler.loads(ForkingPickler.dumps(data)), "copied to another process, it differs")


CHECKS = checks_of(__name__)


def _require_equal(one: TaskData, other: TaskData, broken: str) -> None:
    for first, second in zip(one.every_fold, other.every_fold, strict=True):
        for a, b in zip(first.splits(), second.splits(), strict=True):
            same: list[Any] = [a.images.fingerprint == b.images.fingerprint, a.dropped == b.dropped]
            same += [np.array_equal(x, y) for x, y in ((a.rows, b.rows), (a.targets, b.targets))]
            require(all(same), f"{broken}: split {a.split!r}")
            require(np.array_equal(a.image(0), b.image(0)), f"{broken}: the first image of {a.split!r}")


@contextmanager
def _decoding_forbidden() -> Iterator[None]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise ContractError("it decodes an image while it is loaded")

    with (
        mock.patch.multiple("PIL.Image", open=refuse),
        mock.patch.multiple("cv2", imread=refuse, imdecode=refuse, VideoCapture=refuse),
    ):
        yield
