"""CK+: clips of 123 people, from neutral to the peak of an expression; 327 of 593 clips have a label.

A label describes the end of its clip, and a clip begins neutral; the frames between have no label. The rules choose
the frames:

===========  ==============================================================================
``8``        the last three frames with the clip's label, the first frame as neutral
``7``        the last three frames; there is no neutral
``8-peak1``  as ``8``, with the last frame only
``7-peak1``  as ``7``, with the last frame only
===========  ==============================================================================

Folds are made by subject. The 48x48 faces known as "CK+48", in a folder per class, are the last three frames of the
labelled clips, without neutral; their only rule is ``7``. If their names do not begin with the subject, a person's
faces cannot be kept in one fold, and the protocol says so.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.names import chosen_rule
from benchmarks.protocols.splits import Fold, cross_validation, leave_subjects_out, stratified
from ciao_stream.exceptions import DataError, reading
from ciao_stream.faces.dataset import FaceDataset, TaskData
from ciao_stream.faces.readers.folders import (
    file_keys,
    files_below,
    find,
    is_image,
    listing,
    missing,
    read_class_folders,
)
from ciao_stream.faces.readers.image_files import ImageFiles
from ciao_stream.faces.readers.labels import canonical
from ciao_stream.faces.task import EMOTIONS, TaskSpec

RULES: tuple[str, ...] = ("8", "7", "8-peak1", "7-peak1")
"""Rules for classes and frames; the first is the default."""

LAYOUT = (
    "ROOT/ckplus/cohn-kanade-images/S005/001/S005_001_00000011.png "
    "and ROOT/ckplus/Emotion/S005/001/S005_001_00000011_emotion.txt, "
    "or ROOT/CK+48/{anger,contempt,disgust,fear,happy,sadness,surprise}/*.png"
)
"""The files expected under the data root."""

PLACES = ("ckplus", "ck+", "ck-plus", "ck_plus", "cohn-kanade", "cohn-kanade+", "cohn-kanade-plus")
"""Folders of the data set under the data root; its parts may also be directly in the data root."""

N_FOLDS = 10

PUBLISHED = {
    "happiness": 69, "surprise": 83, "sadness": 28, "anger": 45, "disgust": 59, "fear": 25, "contempt": 18,
}  # fmt: skip
"""Labelled clips."""

CLASSES = ("neutral", "anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
"""The class of each label number, from 0."""

_FRAME = re.compile(r"(S[0-9]+)_([0-9]+)_([0-9]+)\.[a-z]+", re.IGNORECASE)
_LABEL = re.compile(r"(S[0-9]+)_([0-9]+)_([0-9]+)_emotion\.txt", re.IGNORECASE)
_SUBJECT_FOLDER = re.compile(r"S[0-9]+", re.IGNORECASE)
_CLIP_FOLDER = re.compile(r"[0-9]+")
_Key = tuple[str, str]

_SUBJECT = re.compile(r"(S[0-9]+)_", re.IGNORECASE)
_CLIP = re.compile(r"(S[0-9]+_[0-9]+)_[0-9]+\.[a-z]+", re.IGNORECASE)


def load(root: Path, rule: str | None = None) -> TaskData:
    """Load CK+; no image is decoded. Clips with labels are preferred to CK+48.

    Args:
        root: Folder that holds the data sets.
        rule: One of :data:`RULES`; None for the first, or for ``7`` if there is only CK+48.

    Returns:
        Folds over eight classes in canonical order, or seven without neutral. Clips give photos, CK+48 faces.

    Raises:
        DataError: Files are missing, damaged or misplaced, or the rule cannot be followed with CK+48.
        UnknownNameError: There is no such rule.
    """
    chosen = chosen_rule(rule, RULES)
    images = _find(root, "cohn-kanade-images", "extended-cohn-kanade-images/cohn-kanade-images")
    if images is not None:
        labels = _find(root, "Emotion", "Emotion_labels/Emotion", "Emotion_labels")
        if labels is None:
            raise missing("ckplus", "no labels (Emotion)", root, LAYOUT, _places(root))
        return _from_clips(images, labels, chosen)
    folder = _find(root, "CK+48", "CK48")
    if folder is None:
        raise missing("ckplus", "no clips (cohn-kanade-images) and no CK+48", root, LAYOUT, _places(root))
    if rule not in (None, "7"):
        raise DataError(
            f"{folder}: CK+48 holds three peak frames per clip and no neutral ones, so it cannot follow rule {rule!r}; "
            "use ckplus:7, or get the clips"
        )
    return _from_folders(folder)


def _places(root: Path) -> list[Path | None]:
    return [find(root, place) for place in PLACES]


def _find(root: Path, *names: str) -> Path | None:
    """Return the first of some folders that exists in one of :data:`PLACES` or in the data root."""
    return find(root, *(f"{place}/{name}" for place in PLACES for name in names), *names)


def _spec(labels: tuple[str, ...]) -> TaskSpec:
    return TaskSpec("ckplus", "categorical", labels)


def _from_clips(images: Path, labels: Path, rule: str) -> TaskData:
    """Load the frames that the rule selects from the clips."""
    with_neutral, peaks = rule.startswith("8"), 1 if rule.endswith("-peak1") else 3
    spec = _spec(EMOTIONS if with_neutral else EMOTIONS[1:])
    emotion_of = {name: canonical(name) for name in CLASSES}
    dropped: Counter[str] = Counter()
    taken: list[tuple[str, str, str]] = []
    for clip in _read_clips(images, labels):
        if clip.emotion is None:
            dropped["no emotion label"] += 1
            continue
        emotion = emotion_of[clip.emotion]
        if emotion not in spec.labels:
            dropped["labelled neutral"] += 1
            continue
        if len(clip.frames) < peaks + with_neutral:
            raise DataError(
                f"{clip.folder}: rule {rule!r} needs {peaks + with_neutral} frames but found {len(clip.frames)}; "
                "get the sequence again"
            )
        if with_neutral:
            taken.append((clip.frames[0], clip.subject, "neutral"))
        taken += [(frame, clip.subject, emotion) for frame in clip.frames[-peaks:]]
    if absent := [label for label in spec.labels if all(emotion != label for _, _, emotion in taken)]:
        raise DataError(f"{labels}: no clip is labelled {', '.join(absent)}; get all of the labels")
    subjects = [subject for _, subject, _ in taken]
    samples = FaceDataset(
        spec,
        "train",
        ImageFiles(images, tuple(frame for frame, _, _ in taken)),
        np.arange(len(taken)),
        np.array([spec.labels.index(emotion) for _, _, emotion in taken], dtype=np.int64),
        "real",
        label_rule=_label_rule(with_neutral, peaks),
        dropped=dict(dropped),
        subjects=np.array(subjects),
        framing="photo",
    )
    folds = leave_subjects_out(subjects, images, N_FOLDS)
    return cross_validation(samples, folds, _by_subject(folds), _published(peaks))


def _from_folders(folder: Path) -> TaskData:
    """Load CK+48."""
    spec = _spec(EMOTIONS[1:])
    images, targets = read_class_folders(folder, spec.labels)
    files = [name.rpartition("/")[2] for name in images.names]
    clips = [parsed[1].upper() if (parsed := _CLIP.fullmatch(file)) else None for file in files]
    first: dict[str, int] = {}
    for row, clip in enumerate(clips):
        if clip is not None and targets[first.setdefault(clip, row)] != targets[row]:
            raise DataError(
                f"{folder}: {images.names[first[clip]]} and {images.names[row]} are of one clip but of two classes; "
                "remove the one in the wrong folder"
            )
    parsed_subjects = [_SUBJECT.match(file) for file in files]
    subjects = [parsed[1].upper() for parsed in parsed_subjects if parsed]
    known = len(subjects) == len(files)
    samples = FaceDataset(
        spec,
        "train",
        images,
        np.arange(len(images)),
        targets,
        "real",
        label_rule=_label_rule(False, 3) + " (CK+48)",
        subjects=np.array(subjects) if known else None,
    )
    if known:
        folds = leave_subjects_out(subjects, folder, N_FOLDS)
        return cross_validation(samples, folds, _by_subject(folds), _published(3))
    names = file_keys(images.names)
    together = [clip or name for clip, name in zip(clips, names, strict=True)]
    folds = stratified(names, targets, folder, together=together, n_folds=N_FOLDS)
    protocol = f"{len(folds)} folds, identities unknown: leak likely"
    return cross_validation(samples, folds, protocol, _published(3))


def _label_rule(with_neutral: bool, peaks: int) -> str:
    frames = "last frame" if peaks == 1 else f"last {peaks} frames"
    return f"8 classes: {frames}, first is neutral" if with_neutral else f"7 classes: {frames}"


def _by_subject(folds: list[Fold]) -> str:
    return f"{len(folds)} folds by subject, no person in two splits"


def _published(peaks: int) -> dict[str, dict[str, int]]:
    """Return the published number of peak frames; there is none for neutral frames."""
    return {"train+validation+test": {label: n * peaks for label, n in PUBLISHED.items()}}


class Clip(NamedTuple):
    """One sequence of frames.

    Args:
        folder: Folder of its frames.
        subject: The person.
        frames: Its frames in order, relative to the folder of all images, with ``/`` between their parts.
        emotion: Name of its class in :data:`CLASSES`, None without a label.
    """

    folder: Path
    subject: str
    frames: tuple[str, ...]
    emotion: str | None


class _Label(NamedTuple):
    path: Path
    frame: int
    emotion: str


def _read_clips(images: Path, labels: Path) -> list[Clip]:
    """Return all clips, sorted by subject and number; no image is opened.

    Args:
        images: The folder ``cohn-kanade-images``.
        labels: The folder ``Emotion``.
    """
    label_of = _labels(labels)
    clips = []
    for subject in _folders(images, _SUBJECT_FOLDER, "one folder per subject, named like S005"):
        for folder in _folders(subject, _CLIP_FOLDER, "one folder per sequence, named like 001"):
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
    """Return the folders in a folder; files that are not images are ignored."""
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
    with reading(path):
        text = path.read_bytes().decode(errors="replace").strip()
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if number not in range(len(CLASSES)):
        expected = f"a whole number from 0 to {len(CLASSES) - 1}"
        raise DataError(f"{path}: the label is {text[:20]!r}; expected {expected}; get the file again")
    return CLASSES[int(number)]
