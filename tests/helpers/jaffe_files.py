"""A small copy of JAFFE, and the names of all its files."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from PIL import Image

CANONICAL = {
    "NE": "neutral", "HA": "happiness", "SA": "sadness", "SU": "surprise", "AN": "anger", "DI": "disgust", "FE": "fear",
}  # fmt: skip
SUBJECTS = ("KA", "KL", "KM", "KR", "MK", "NA", "NM", "TM", "UY", "YM")
MINIATURE = SUBJECTS[:4]
OTHER_TAKES = {
    "KA.HA": "1234", "KA.FE": "1234", "KL.DI": "1234", "KM.HA": "1234", "KM.SA": "1235", "YM.FE": "1234",
    "KM.DI": "13", "NM.DI": "13", "KR.HA": "12",
}  # fmt: skip
"""Exceptions: the other subjects show each emotion in takes 1, 2 and 3."""


def file_names(subjects=MINIATURE, suffix: str = ".tiff") -> list[str]:
    """The distributed names, but for the serial numbers: those have no gaps here and begin with the last subject."""
    takes = [
        f"{s}.{code}{take}"
        for s in subjects[::-1]
        for code in CANONICAL
        for take in OTHER_TAKES.get(f"{s}.{code}", "123")
    ]
    return [f"{name}.{serial}{suffix}" for serial, name in enumerate(takes, 1)]


def image_of(name: str) -> np.ndarray:
    """The image in the file of that name: uint8 (64, 64), different for each name."""
    return np.random.default_rng(zlib.crc32(name.split("/")[-1].encode())).integers(0, 256, (64, 64), dtype=np.uint8)


def write_jaffe(
    root: Path, *, reverse: bool = False, folder: str = "jaffe", subjects=MINIATURE, suffix: str = ".tiff"
) -> dict[str, str]:
    """Write a miniature with README; return the emotion of each file. Every other tiff has three equal channels."""
    place = root / folder
    place.mkdir(parents=True)
    (place / "README").write_text("not an image")
    truth = {name: CANONICAL[name.split(".")[1][:2]] for name in file_names(subjects, suffix)}
    for number, name in sorted(enumerate(truth), reverse=reverse):
        image = Image.fromarray(image_of(name))
        (image.convert("RGB") if number % 2 else image).save(place / name)
    return truth


def write_names(root: Path, subjects=SUBJECTS) -> list[str]:
    """Write empty files with the names of all 213."""
    (root / "jaffe").mkdir(parents=True)
    names = file_names(subjects)
    for name in names:
        (root / "jaffe" / name).touch()
    return names
