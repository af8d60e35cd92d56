"""Small copies of every layout of FER2013 and FER+, from the same few faces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

CSV_CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
CANONICAL = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
USAGES = ("Training", "PublicTest", "PrivateTest")
VOTE_COLUMNS = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF",
)  # fmt: skip

Rows = list[tuple[int, np.ndarray, str]]


def some_rows(per_class: int = 2) -> Rows:
    """Rows of (emotion, face, Usage): ``per_class`` faces of each class in each Usage, in mixed order."""
    rng = np.random.default_rng(0)
    labels = [(emotion, usage) for usage in USAGES for emotion in range(7) for _ in range(per_class)]
    order = rng.permutation(len(labels))
    return [(labels[i][0], rng.integers(0, 256, (48, 48), dtype=np.uint8), labels[i][1]) for i in order]


def pixel_text(face: np.ndarray) -> str:
    return " ".join(map(str, face.ravel().tolist()))


def write_csv(path: Path, rows: Rows, quote: str = "", end: str = "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{emotion},{quote}{pixel_text(face)}{quote},{usage}" for emotion, face, usage in rows]
    path.write_bytes((end.join(["emotion,pixels,Usage", *lines]) + end).encode())
    return path


def write_icml_csv(path: Path, rows: Rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{emotion},{usage},{pixel_text(face)}" for emotion, face, usage in rows]
    path.write_text("\n".join(["emotion, Usage, pixels", *lines]) + "\n")
    return path


def write_folders(folder: Path, rows: Rows, reverse: bool = False, suffix: str = ".png") -> Path:
    """Training to ``train``, the rest to ``test``; the file name is the row's number."""
    for number, (emotion, face, usage) in sorted(enumerate(rows), reverse=reverse):
        place = folder / ("train" if usage == "Training" else "test") / CSV_CLASSES[emotion]
        place.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(place / f"{number:03d}{suffix}"), face)
    return folder


def write_votes(path: Path, rows: Rows, votes: Sequence[Sequence[int | str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [",".join(("Usage", "Image name", *VOTE_COLUMNS))]
    for number, ((_, _, usage), counts) in enumerate(zip(rows, votes, strict=True)):
        lines.append(",".join(map(str, (usage, f"fer{number:07d}.png", *counts))))
    path.write_text("\n".join(lines) + "\n")
    return path


def edit_line(path: Path, number: int, old: str, new: str) -> None:
    """Replace text in one line of a file, from 1."""
    lines = path.read_text().split("\n")
    assert old in lines[number - 1]
    lines[number - 1] = lines[number - 1].replace(old, new, 1)
    path.write_text("\n".join(lines))


def write_fer_and_ferplus(root):
    """Write FER2013 with each face's votes, all ten for one class; return its rows."""
    rows = some_rows()
    write_csv(root / "fer2013" / "fer2013.csv", rows)
    votes = [[10 if column == index % 8 else 0 for column in range(10)] for index in range(len(rows))]
    write_votes(root / "ferplus" / "fer2013new.csv", rows, votes)
    return rows
