"""A few faces of a user's own: images that can be recognised, in folders and in a csv file."""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from ciao_stream.faces.dataset import SPLITS, TaskData

SIZE = 64
EMOTION_FOLDERS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
CANONICAL_NAMES = dict(
    zip(EMOTION_FOLDERS, ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"), strict=True)
)


def image_of(name: str) -> np.ndarray:
    """An image of 4x4 gray blocks, different for each name, that survives jpg."""
    blocks = np.random.default_rng(zlib.crc32(name.encode())).integers(0, 256, (4, 4), dtype=np.uint8)
    return np.kron(blocks, np.ones((SIZE // 4, SIZE // 4), dtype=np.uint8))


def save(folder: Path, names: Iterable[str], *, reverse: bool = False) -> None:
    """Write the image of each name to the file of that name."""
    for name in sorted(names, reverse=reverse):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        color = cv2.cvtColor(image_of(name), cv2.COLOR_GRAY2BGR)
        assert cv2.imwrite(str(path), color)


def seen(data: TaskData, names: Iterable[str]) -> dict[str, dict[str, int | tuple[float, ...]]]:
    """Split -> {name whose image it is: target}, by content alone; every sample is recognised, none twice."""
    known = list(names)
    images = np.stack([image_of(name) for name in known]).astype(np.int16)
    found: dict[str, dict[str, int | tuple[float, ...]]] = {}
    for split, faces in zip(SPLITS, data.splits(), strict=True):
        assert faces.split == split
        found[split] = {}
        for index, target in enumerate(faces.targets):
            image = faces.image(index)
            assert image.dtype == np.uint8
            assert image.shape == (SIZE, SIZE, 3)
            distances = np.abs(images - image[..., 1].astype(np.int16)).mean(axis=(1, 2))
            nearest = int(distances.argmin())
            assert distances[nearest] < 8
            assert known[nearest] not in found[split]
            found[split][known[nearest]] = tuple(target.tolist()) if target.ndim else int(target)
    return found


def labels_seen(data: TaskData, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Split -> {name whose image it is: label}."""
    return {
        split: {name: data.spec.labels[target] for name, target in of_split.items()}
        for split, of_split in seen(data, names).items()
    }


def same_rows(one: TaskData, other: TaskData) -> bool:
    """Whether two loads give the same images, rows and targets."""
    return all(
        a.images.fingerprint == b.images.fingerprint
        and a.rows.tolist() == b.rows.tolist()
        and a.targets.tolist() == b.targets.tolist()
        for a, b in zip(one.splits(), other.splits(), strict=True)
    )


def write_own_folder(
    root: Path,
    *,
    reverse: bool = False,
    name: str = "mine",
    splits: Sequence[str] = ("train", "val", "test"),
    classes: Sequence[str] = ("happy", "sad", "Neutral"),
    per_class: int = 3,
    suffix: str = ".png",
) -> dict[str, str]:
    """ROOT/NAME/SPLIT/CLASS/*, or ROOT/NAME/CLASS/* without splits; returns {path below ROOT/NAME: class folder}."""
    truth = {
        f"{split}/{label}/{split}_{label}_{n}{suffix}".lstrip("/"): label
        for split in (splits or ("",))
        for label in classes
        for n in range(per_class)
    }
    save(root / name, truth, reverse=reverse)
    return truth


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A csv file's text."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([columns, *rows])
    return text.getvalue()


def write_own_csv(
    root: Path, columns: Mapping[str, Sequence[object]], *, reverse: bool = False, name: str = "mine"
) -> Path:
    """ROOT/NAME.csv with these columns, and the images that its column ``file`` names."""
    files = [str(file) for file in columns["file"]]
    save(root, sorted(set(files)), reverse=reverse)
    path = root / f"{name}.csv"
    path.write_text(csv_text(list(columns), zip(*columns.values(), strict=True)), encoding="utf-8")
    return path


def write_copies(root):
    """Two folders: three of the pictures that ``seven`` trains on are, as jpg and larger, tested on in ``three``."""
    seven = write_own_folder(root, name="seven", classes=EMOTION_FOLDERS)
    save(root / "three", [f"train/{c}/{c}{n}.png" for c in ("happy", "sad", "surprise") for n in range(3)])
    for label in ("happy", "sad", "surprise"):
        name = f"train/{label}/train_{label}_0.png"
        assert name in seven
        path = root / "three" / "test" / label / "other.jpg"
        path.parent.mkdir(parents=True)
        larger = cv2.resize(image_of(name), (128, 128), interpolation=cv2.INTER_NEAREST)
        assert cv2.imwrite(str(path), larger, [cv2.IMWRITE_JPEG_QUALITY, 80])
