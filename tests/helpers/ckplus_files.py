"""Small copies of CK+'s layouts: clips with their labels, and 48x48 faces in a folder per class."""

from __future__ import annotations

import zlib
from pathlib import Path

import cv2
import numpy as np

NATIVE = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
FOLDERS = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
SUBJECTS = ("S005", "S010", "S011", "S999")
N_FRAMES = (5, 4, 12)
"""Lengths of the clips, in turn."""


def image_of(name: str, size: int = 64) -> np.ndarray:
    """The image in the file of that name: uint8 (size, size), different for each name."""
    seed = zlib.crc32(name.split("/")[-1].encode())
    return np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8)


def write_image(path: Path, size: int = 64) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image_of(path.name, size))


def write_ckplus(
    root: Path,
    *,
    reverse: bool = False,
    images: str = "ckplus/cohn-kanade-images",
    labels: str = "ckplus/Emotion",
    subjects=SUBJECTS,
    rule: str = "8",
) -> dict[str, str]:
    """Write a clip of each emotion and one without a label for each subject; return the frames of the rule.

    The clips' numbers are their emotions', in another order for each subject; the clip without a label is 008.
    """
    neutral, peaks = rule.startswith("8"), 1 if rule.endswith("-peak1") else 3
    truth: dict[str, str] = {}
    clips = [(k, subject, number) for k, subject in enumerate(subjects) for number in range(1, 9)]
    for k, subject, number in clips[::-1] if reverse else clips:
        place, n = f"{subject}/{number:03d}", N_FRAMES[(k + number) % 3]
        frames = [f"{place}/{subject}_{number:03d}_{i:08d}.png" for i in range(1, n + 1)]
        for frame in frames[::-1] if reverse else frames:
            write_image(root / images / frame)
        label_folder = root / labels / place
        label_folder.mkdir(parents=True, exist_ok=True)
        if number == 8:
            continue
        emotion = (number + k) % 7 + 1
        (label_folder / f"{subject}_{number:03d}_{n:08d}_emotion.txt").write_text(f"   {emotion}.0000000e+00\n")
        truth |= {frames[0]: "neutral"} if neutral else {}
        truth |= dict.fromkeys(frames[-peaks:], NATIVE[emotion])
    return dict(sorted(truth.items()))


def write_ck48(
    root: Path, *, reverse: bool = False, folder: str = "CK+48", subjects=SUBJECTS, named: bool = True
) -> dict[str, str]:
    """Write three faces of each emotion for each subject; return the emotion of each.

    Without ``named``, the files are numbered within their class, and names do not give subject or clip.
    """
    truth = {}
    for c, name in enumerate(FOLDERS):
        emotion = NATIVE[c + 1]
        stems = [f"{subject}_{c + 1:03d}_{i:08d}" for subject in subjects for i in (9, 10, 11)]
        for number, stem in enumerate(stems):
            truth[f"{name}/{stem if named else f'{name}{number:02d}'}.png"] = emotion
    for name in sorted(truth, reverse=reverse):
        write_image(root / folder / name, 48)
    return truth
