"""EmoReact: 1,102 clips of 63 children who react to objects; any number of eight labels for each clip [1].

Two files per split belong together line by line: the names of the clips and their labels. Labels are of whole clips:
each clip becomes as many frames as the rule says, which have its labels and form a group that is evaluated as one. The
ninth column, valence, is checked, but not part of the task.

[1] Nojavanasghari et al., "EmoReact: a multimodal approach and dataset for recognizing emotional responses in
children", ICMI 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.names import chosen_rule
from ciao_stream.exceptions import DataError
from ciao_stream.faces.dataset import SPLITS, FaceDataset, Split, TaskData
from ciao_stream.faces.readers.csv_lines import Line, cell_text, read_lines, split_cells
from ciao_stream.faces.readers.folders import find, listing, missing
from ciao_stream.faces.readers.video_frames import SUFFIXES, VideoFrames
from ciao_stream.faces.task import TaskSpec

RULES: tuple[str, ...] = ("10", "1", "5", "20")
"""Frames per clip; the first is the default."""

LAYOUT = (
    "ROOT/emoreact/Data/{Train,Validation,Test}/*.mp4 with ROOT/emoreact/Labels/{train,val,test}_labels.text and "
    "ROOT/emoreact/Labels/{Train,Val,Test}_names.txt, or the same below ROOT/EmoReact_V_1.0 or "
    "ROOT/emoreact/EmoReact_V_1.0"
)
"""The files expected under the data root."""

SPEC = TaskSpec(
    "emoreact",
    "multilabel",
    ("curiosity", "uncertainty", "excitement", "happiness", "surprise", "disgust", "fear", "frustration"),
)

PUBLISHED = {"train": 432, "validation": 303, "test": 367}
"""Clips per split."""

VALENCE = (1.0, 7.0)
"""Range of the column after the labels."""

FOLDERS = ("emoreact/EmoReact_V_1.0", "EmoReact/EmoReact_V_1.0", "emoreact", "EmoReact", "EmoReact_V_1.0")
"""Where the data set can be under the data root, in the order of the search."""

_CLIPS: dict[Split, str] = {"train": "Train", "validation": "Validation", "test": "Test"}
_STEMS: dict[Split, str] = {"train": "train", "validation": "val", "test": "test"}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def load(root: Path, rule: str | None = None) -> TaskData:
    """Load EmoReact; no clip is opened.

    Args:
        root: Folder that holds the data sets.
        rule: Frames per clip, one of :data:`RULES`, None for the first.

    Returns:
        Three splits with eight labels, float32 (N, 8), and a group per clip. The images are whole frames, uint8
        (height, width, 3) in RGB order, in the order of the names file and of time.

    Raises:
        DataError: The files are missing or damaged, or names, labels and clips do not match.
        UnknownNameError: There is no such rule.
    """
    rule = chosen_rule(rule, RULES)
    data = find(root, *(f"{folder}/Data" for folder in FOLDERS))
    if data is None:
        raise missing("emoreact", "no folder Data with clips", root, LAYOUT, [find(root, name) for name in FOLDERS])
    train, validation, test = (_dataset(data, split, int(rule)) for split in SPLITS)
    return TaskData(train, validation, test, protocol="official splits; subject overlap unknown", published=PUBLISHED)


def _dataset(data: Path, split: Split, per_clip: int) -> FaceDataset:
    """Load one split from the folder ``Data``."""
    clips = find(data, _CLIPS[split])
    if clips is None:
        raise DataError(f"{data}: no folder {_CLIPS[split]}; expected {', '.join(_CLIPS.values())}: get all clips")
    names_file, labels_file = _annotations(data.parent, split, "names"), _annotations(data.parent, split, "labels")
    name_lines, label_lines = _aligned_lines(names_file), _aligned_lines(labels_file)
    names = _read_names(name_lines)
    targets = np.array([_read_labels(line) for line in label_lines], dtype=np.float32)
    if len(names) != len(targets):
        raise DataError(
            f"{names_file} has {len(names):,} lines but {labels_file} has {len(targets):,}: line i of one belongs to "
            "line i of the other; get both files in full"
        )
    unnamed = _check_clips(name_lines, names, clips)
    images = VideoFrames(clips, tuple(names), per_clip)
    groups = np.arange(len(names), dtype=np.int64).repeat(per_clip)
    return FaceDataset(
        SPEC,
        split,
        images,
        np.arange(len(images), dtype=np.int64),
        targets[groups],
        "real",
        label_rule=f"clip labels, {per_clip} frame{'s' if per_clip > 1 else ''} per clip",
        groups=groups,
        dropped={"clip without labels": unnamed},
        framing="photo",
    )


def _annotations(folder: Path, split: Split, what: str) -> Path:
    """Return the file with the names or labels of a split."""
    names = [f"{_STEMS[split]}_{what}{suffix}" for suffix in (".text", ".txt")]
    path = find(folder, *(f"{place}{name}" for place in ("Labels/", "") for name in names))
    if path is None:
        raise DataError(
            f"{folder}: no {' or '.join(names)}, neither in Labels nor next to it; get the data set in full"
        )
    return path


def _aligned_lines(path: Path) -> list[Line]:
    """Return the lines of a file whose line i belongs to line i of another: blank lines may only be at the end."""
    lines = list(read_lines(path))
    if not lines:
        raise DataError(f"{path}: the file is empty; get the file again")
    for number, line in enumerate(lines, start=1):
        if line.number != number:
            raise DataError(
                f"{path}, line {number}: blank, but line i of the names belongs to line i of the labels; get the file "
                "again"
            )
    return [lines[0]._replace(raw=lines[0].raw.removeprefix(_BYTE_ORDER_MARK)), *lines[1:]]


def _read_names(lines: Sequence[Line]) -> list[str]:
    """Return the clips in a names file, each once."""
    seen: dict[str, int] = {}
    for line in lines:
        name = _unquote(line)
        if name in seen:
            raise DataError(f"{line.where}: clip {name!r} is already in line {seen[name]}; get the file again")
        seen[name] = line.number
    return list(seen)


def _unquote(line: Line) -> str:
    """Return the name in a line: in single quotes, with apostrophes doubled, or without quotes."""
    try:
        text = line.raw.decode().strip()
    except UnicodeDecodeError as error:
        raise DataError(f"{line.where}: not UTF-8 text; save the file as UTF-8") from error
    quotes = text.startswith("'") + text.endswith("'")
    if not text or quotes == 1 or (quotes and len(text) < 3):
        raise DataError(f"{line.where}: {text[:80]!r} is not the name of a clip in single quotes; get the file again")
    return text[1:-1].replace("''", "'") if quotes else text


def _read_labels(line: Line) -> list[float]:
    """Return the eight labels of a line."""
    *labels, valence = [cell_text(cell, line) for cell in split_cells(line, SPEC.n_out + 1)]
    for name, text in zip(SPEC.labels, labels, strict=True):
        if text not in ("0", "1"):
            raise DataError(f"{line.where}: {name} is {text[:20]!r}; expected 0 or 1")
    low, high = VALENCE
    try:
        in_range = low <= float(valence) <= high
    except ValueError:
        in_range = False
    if not in_range:
        raise DataError(f"{line.where}: valence is {valence[:20]!r}; expected a number from {low:g} to {high:g}")
    return [float(text) for text in labels]


def _check_clips(lines: Sequence[Line], names: Sequence[str], folder: Path) -> int:
    """Return how many clips of a folder are in no line."""
    there = {entry.name for entry in listing(folder) if entry.is_file()}
    for line, name in zip(lines, names, strict=True):
        if name not in there:
            raise DataError(f"{line.where}: clip {name!r} is not in {folder}; get all clips")
    return sum(Path(name).suffix.lower() in SUFFIXES for name in there - set(names))
