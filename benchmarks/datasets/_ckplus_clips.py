"""CK+'s clips and their labels, as the two zip files unpack: a folder per subject, in it one per clip.

The frames of a clip lie in ``cohn-kanade-images/S005/001/S005_001_00000011.png``, its label, if it has one, in
``Emotion/S005/001/S005_001_00000011_emotion.txt``, named after the last frame.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import NamedTuple

from ciao_stream.exceptions import DataError
from ciao_stream.faces.readers.class_folders import files_below, is_image
from ciao_stream.faces.readers.layout import listing

CLASSES = ("neutral", "anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
"""What a label's number stands for, by position."""

_FRAME = re.compile(r"(S[0-9]+)_([0-9]+)_([0-9]+)\.[a-z]+", re.IGNORECASE)
_LABEL = re.compile(r"(S[0-9]+)_([0-9]+)_([0-9]+)_emotion\.txt", re.IGNORECASE)
_SUBJECT = re.compile(r"S[0-9]+", re.IGNORECASE)
_CLIP = re.compile(r"[0-9]+")

_Key = tuple[str, str]


class Clip(NamedTuple):
    """One sequence of frames.

    Args:
        folder: Where its frames are.
        subject: Who it shows.
        frames: Its frames in order, relative to the folder of all images, with ``/`` between their parts.
        emotion: Name of its class in :data:`CLASSES`, None where it has no label.
    """

    folder: Path
    subject: str
    frames: tuple[str, ...]
    emotion: str | None


class _Label(NamedTuple):
    path: Path
    frame: int
    emotion: str


def read_clips(images: Path, labels: Path) -> list[Clip]:
    """Return all clips, sorted by subject and number; no image is opened.

    Args:
        images: The folder ``cohn-kanade-images``.
        labels: The folder ``Emotion``.

    Raises:
        DataError: A folder is empty or has a name of another kind, a frame or label lies in another's folder, a
            label is no number from 0 to 7, or stands for a clip or frame that is not there.
    """
    label_of = _labels(labels)
    clips = []
    for subject in _folders(images, _SUBJECT, "one folder per subject, named like S005"):
        for folder in _folders(subject, _CLIP, "one folder per sequence, named like 001"):
            key = (subject.name.upper(), folder.name)
            frames = _frames(folder, key)
            label = label_of.pop(key, None)
            if label is not None and label.frame not in frames:
                raise DataError(f"{label.path}: its frame {label.frame} is not in {folder}; get the sequence again")
            names = tuple(path.relative_to(images).as_posix() for _, path in sorted(frames.items()))
            clips.append(Clip(folder, key[0], names, label and label.emotion))
    if label_of:
        (subject_name, number), label = min(label_of.items())
        raise DataError(
            f"{label.path}: there is no sequence {images / subject_name / number} with images; get the sequence again"
        )
    return clips


def _folders(folder: Path, pattern: re.Pattern[str], expected: str) -> list[Path]:
    """Return the folders in a folder; files that are no images are passed over."""
    entries = [entry for entry in listing(folder) if entry.is_dir() or is_image(entry)]
    if not entries:
        raise DataError(f"{folder}: nothing in it; expected {expected}; get the images again")
    for entry in entries:
        if not (entry.is_dir() and pattern.fullmatch(entry.name)):
            raise DataError(f"{entry}: not expected here; expected {expected}; move or remove it")
    return entries


def _frames(folder: Path, key: _Key) -> dict[int, Path]:
    """Return the frames of a clip by number."""
    frames: dict[int, Path] = {}
    for path in listing(folder):
        if not is_image(path):
            continue
        parsed = _FRAME.fullmatch(path.name)
        if parsed is None or (parsed[1].upper(), parsed[2]) != key:
            raise DataError(f"{path}: expected a frame named like {'_'.join(key)}_00000011.png; move or remove it")
        first = frames.setdefault(int(parsed[3]), path)
        if first != path:
            raise DataError(f"{path}: the same frame as {first.name}; keep one of them")
    if not frames:
        raise DataError(f"{folder}: no images in it; get the sequence again")
    return frames


def _labels(folder: Path) -> dict[_Key, _Label]:
    """Return the labels by subject and clip."""
    labels: dict[_Key, _Label] = {}
    for path in (file for file in files_below(folder) if file.suffix.lower() == ".txt"):
        place = (path.parent.parent.name.upper(), path.parent.name)
        in_clip_folder = path.parent.parent.parent == folder
        parsed = _LABEL.fullmatch(path.name)
        if parsed is None and not in_clip_folder:
            continue
        if parsed is None or not in_clip_folder or (parsed[1].upper(), parsed[2]) != place:
            raise DataError(
                f"{path}: expected labels in files like S005/001/S005_001_00000011_emotion.txt; move or remove it"
            )
        if place in labels:
            raise DataError(f"{path.parent}: two labels, {labels[place].path.name} and {path.name}; keep one of them")
        labels[place] = _Label(path, int(parsed[3]), _emotion(path))
    return labels


def _emotion(path: Path) -> str:
    """Read a label file, which holds a number like ``3.0000000e+00``."""
    try:
        text = path.read_bytes().decode(errors="replace").strip()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if number not in range(len(CLASSES)):
        expected = f"a whole number from 0 to {len(CLASSES) - 1}"
        raise DataError(f"{path}: the label is {text[:20]!r}; expected {expected}; get the file again")
    return CLASSES[int(number)]
