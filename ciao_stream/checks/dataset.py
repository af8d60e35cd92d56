"""What every data set promises, as checks that run in seconds, on ours in the tests and on anybody's own.

::

    from ciao_stream.checks.dataset import check_dataset

    check_dataset(lambda: my_dataset.load(Path("/data")), name="my-dataset")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.reduction import ForkingPickler
from typing import Any
from unittest import mock

import numpy as np

from ciao_stream.checks import ContractError, require
from ciao_stream.faces.dataset import FaceDataset, TaskData
from ciao_stream.faces.task import EMOTIONS

DECODED = 8
"""Images per split that are decoded."""


def check_dataset(load: Callable[[], TaskData], name: str | None = None) -> TaskData:
    """Run every check on a data set.

    Args:
        load: Loads it; called several times.
        name: The task's name, None where it does not matter.

    Returns:
        What was loaded first.

    Raises:
        ContractError: A promise is broken; the message says which.
    """
    with _nothing_is_decoded():
        data = load()
    if name is not None:
        require(data.spec.name == name, f"its name is {data.spec.name!r}")
    folds = data.every_fold
    if data.folds:
        require(data.fold == data.folds[0].fold, "what is returned is not the first of its folds")
        names = [fold.fold for fold in data.folds]
        require(len(set(names)) == len(names) and all(names), f"its folds bear no names of their own: {names}")
    for fold in folds:
        for split in fold.splits():
            _check_split(split, fold)
        _check_apart(fold)
    _check_labels(data)
    _check_images(data)
    _check_published(data)
    _check_same(data, load(), "a second time it is another")
    sent_to_a_worker = ForkingPickler.loads(ForkingPickler.dumps(data))
    _check_same(data, sent_to_a_worker, "a copy in another process is another")
    return data


def _check_split(split: FaceDataset, fold: TaskData) -> None:
    """The arrays have the layout of the kind, and the rows are images that exist."""
    where = f"split {split.split!r}"
    require(split.spec == fold.spec, f"{where}: its specification differs from that of train")
    require(split.source == "real", f"{where}: its source is {split.source!r}")
    wanted = np.int64 if split.spec.kind == "categorical" else np.float32
    require(split.targets.dtype == wanted, f"{where}: targets are {split.targets.dtype}; expected {wanted.__name__}")
    require(split.rows.dtype == np.int64, f"{where}: rows are {split.rows.dtype}; expected int64")
    require(split.rows.min() >= 0 and split.rows.max() < len(split.images), f"{where}: a row has no image")
    require(len(np.unique(split.rows)) == len(split.rows), f"{where}: an image stands twice")
    require(bool(split.label_rule), f"{where}: nothing says how labels were made")
    require(all(isinstance(n, int) and n >= 0 for n in split.dropped.values()), f"{where}: dropped are no counts")


def _check_apart(fold: TaskData) -> None:
    """No image, and no group, is in two splits."""
    seen: set[tuple[str, int]] = set()
    for split in fold.splits():
        own = {(split.images.fingerprint, int(row)) for row in split.rows}
        require(not own & seen, f"split {split.split!r} shares an image with another split")
        seen |= own
    require(bool(fold.protocol), "nothing says how the splits were made")
    shared = fold.shared_subjects()
    admitted = "identit" in fold.protocol or "official" in fold.protocol
    require(not shared or admitted, f"{shared} are in both train and test, and the protocol does not say so")


def _check_labels(data: TaskData) -> None:
    """Emotions stand in canonical order, and every class is trained on."""
    labels = data.spec.labels
    if data.spec.kind != "dimensional" and set(labels) <= set(EMOTIONS):
        order = [EMOTIONS.index(label) for label in labels]
        require(order == sorted(order), f"its labels are not in canonical order: {', '.join(labels)}")
    if data.spec.kind == "dimensional":
        return
    for label, n in data.train.counts().items():
        require(n > 0, f"no sample to train {label!r} on")


def _check_images(data: TaskData) -> None:
    """Images are uint8, gray or RGB; reading one twice gives the same."""
    for split in data.splits():
        chosen = np.linspace(0, len(split) - 1, min(DECODED, len(split))).astype(int)
        for index in map(int, chosen):
            image = split.image(index)
            where = f"image {index} of split {split.split!r}"
            require(image.dtype == np.uint8, f"{where} is {image.dtype}; expected uint8")
            gray, colour = image.ndim == 2, image.ndim == 3 and image.shape[2] == 3
            require((gray or colour) and image.size > 0, f"{where} has the shape {image.shape}")
            require(np.array_equal(image, split.image(index)), f"{where}: read a second time, it is another")


def _check_published(data: TaskData) -> None:
    """Published counts name splits and labels that exist."""
    for key, count in data.published.items():
        known = set(key.split("+")) <= {"train", "validation", "test"}
        require(known, f"published counts are for {key!r}; expected split names joined by +")
        if not isinstance(count, int):
            require(set(count) <= set(data.spec.labels), f"published counts of {key} name labels that are none")


def _check_same(one: TaskData, other: TaskData, problem: str) -> None:
    """Two loads give the same samples, folds included."""
    pairs = zip(one.every_fold, other.every_fold, strict=True)
    for first, second in pairs:
        for a, b in zip(first.splits(), second.splits(), strict=True):
            same: list[Any] = [a.images.fingerprint == b.images.fingerprint, a.dropped == b.dropped]
            same += [np.array_equal(x, y) for x, y in ((a.rows, b.rows), (a.targets, b.targets))]
            require(all(same), f"{problem}: split {a.split!r} differs")
            require(np.array_equal(a.image(0), b.image(0)), f"{problem}: the first image of {a.split!r} differs")


@contextmanager
def _nothing_is_decoded() -> Iterator[None]:
    """Turn every decoding of an image into a broken promise."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise ContractError("it decodes an image before one is asked for")

    with (
        mock.patch.multiple("PIL.Image", open=refuse),
        mock.patch.multiple("cv2", imread=refuse, imdecode=refuse, VideoCapture=refuse),
    ):
        yield
