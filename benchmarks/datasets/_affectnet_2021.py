"""AffectNet as released in March 2021: one small file per annotation, photos already cropped.

``train_set`` and ``val_set`` hold ``images/ID.jpg`` and ``annotations/ID_exp.npy`` (expression), ``ID_val.npy``
(valence), ``ID_aro.npy`` (arousal) and ``ID_lnd.npy`` (landmarks, not read here). A value is a number or a text, as a
numpy array of one entry. ``train_set`` has 287,651 faces, so the annotations are kept in the user's cache folder,
and read again if any file changes.
"""

from __future__ import annotations

import hashlib
import io
import os
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ciao_stream.exceptions import DataError, reading
from ciao_stream.faces.readers.folders import find
from ciao_stream.faces.readers.image_files import SUFFIXES, ImageFiles
from ciao_stream.faces.readers.index_cache import cached_index

KINDS: dict[str, str] = {"expression": "exp", "arousal": "aro", "valence": "val"}
"""The annotations of each face, and the ends of their file names."""

BATCH = 500
"""Faces that a thread reads at a time."""

MAX_FILE = 1 << 12
"""Bytes. A file with one entry takes about 140."""


@dataclass(frozen=True, eq=False)
class FaceFolder:
    """The faces of ``train_set`` or ``val_set``.

    Args:
        folder: The folder.
        images: The faces.
        names: File of each face, relative to ``images`` in the folder; ascending by number.
        expressions: float64 (N,), as in the files.
        values: float64 (N, 2), arousal and valence, as in the files.
        dropped: Empty: every face has its own file.
    """

    folder: Path
    images: ImageFiles
    names: tuple[str, ...]
    expressions: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    dropped: dict[str, int] = field(default_factory=dict)

    def where(self, row: int, column: str) -> str:
        """Return the file of a value, for errors."""
        return f"{self.folder / _annotation(Path(self.names[row]).stem, KINDS[column])}: {column}"


def read_2021(folder: Path) -> tuple[FaceFolder, FaceFolder] | None:
    """Read ``train_set`` and ``val_set``; no image is opened.

    Args:
        folder: The data set's folder.

    Returns:
        Both sets; None if there is neither.

    Raises:
        DataError: A set, an image or an annotation is missing, or an annotation is damaged.
    """
    train, test = find(folder, "train_set"), find(folder, "val_set")
    if train is None and test is None:
        return None
    if train is None or test is None:
        absent, other = ("val_set", "train_set") if train else ("train_set", "val_set")
        raise DataError(f"{folder}: no {absent} next to {other}; get both")
    return _read_set(train), _read_set(test)


def _read_set(folder: Path) -> FaceFolder:
    images, annotations = (find(folder, name) for name in ("images", "annotations"))
    if images is None or annotations is None:
        absent = "images" if images is None else "annotations"
        raise DataError(f"{folder}: no folder {absent} in it; expected images/ID.jpg and annotations/ID_exp.npy")
    files = _images_by_id(images)
    annotated, stamp = _annotated_ids(annotations)
    _check_pairs(folder, files, annotated)
    ids = sorted(files, key=_by_number)

    key = f"AffectNet 2021, {', '.join(KINDS)}, of {annotations.resolve()}: {stamp}"
    table = cached_index(key, lambda: {"table": _read_annotations(annotations, ids)})["table"]
    names = tuple(files[face] for face in ids)
    return FaceFolder(folder, ImageFiles(images, names), names, table[:, 0].copy(), table[:, 1:].copy())


def _annotation(face: str, kind: str) -> str:
    """Return the path of an annotation in its set."""
    return f"annotations/{face}_{kind}.npy"


def _by_number(face: str) -> tuple[bool, int, str]:
    """Sort key: ids that are numbers by number, then the others by name."""
    number = face.isascii() and face.isdecimal()
    return not number, int(face) if number else 0, face


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of a folder, in any order; hidden files are ignored."""
    with reading(folder), os.scandir(folder) as entries:
        yield from (entry for entry in entries if not entry.name.startswith("."))


def _images_by_id(folder: Path) -> dict[str, str]:
    """Return the image file of each id."""
    files: dict[str, str] = {}
    for entry in _entries(folder):
        face, _, ending = entry.name.rpartition(".")
        if face and f".{ending.lower()}" in SUFFIXES:
            if face in files:
                twice = " and ".join(sorted((files[face], entry.name)))
                raise DataError(f"{folder}: two images of id {face}: {twice}; remove one")
            files[face] = entry.name
    if not files:
        raise DataError(f"{folder}: no images in it; expected files that end in {', '.join(SUFFIXES)}")
    return files


def _annotated_ids(folder: Path) -> tuple[dict[str, set[str]], str]:
    """Return the ids that have an annotation, by kind, and a digest that changes when any annotation is written."""
    ids: dict[str, set[str]] = {kind: set() for kind in KINDS.values()}
    stamps = []
    for entry in _entries(folder):
        face, _, kind = entry.name.removesuffix(".npy").rpartition("_")
        if kind in ids and entry.name.endswith(".npy"):
            ids[kind].add(face)
            status = entry.stat()
            stamps.append(f"{entry.name}/{status.st_size}/{status.st_mtime_ns}\n")
    return ids, hashlib.sha256("".join(sorted(stamps)).encode(errors="surrogateescape")).hexdigest()


def _check_pairs(folder: Path, images: Iterable[str], annotated: dict[str, set[str]]) -> None:
    """Raise DataError unless the same ids have an image and each kind of annotation."""
    imaged = set(images)
    every = imaged.union(*annotated.values())
    for what, ids in (("images/{}.jpg", imaged), *((_annotation("{}", kind), ids) for kind, ids in annotated.items())):
        if absent := every - ids:
            more = f" (one of {len(absent):,} missing)" if len(absent) > 1 else ""
            file = what.format(min(absent, key=_by_number))
            raise DataError(f"{folder}: there is no {file}, although other files have its id{more}; get the full set")


def _read_annotations(folder: Path, ids: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return the annotations of each id, float64 (N, 3), a column for each of :data:`KINDS`."""

    def read(some: Sequence[str]) -> list[list[float]]:
        return [[_read_number(folder / f"{face}_{kind}.npy") for kind in KINDS.values()] for face in some]

    with ThreadPoolExecutor() as pool:
        batches = pool.map(read, (ids[start : start + BATCH] for start in range(0, len(ids), BATCH)))
        return np.array([row for batch in batches for row in batch])


def _read_number(path: Path) -> float:
    """Return the number in a file, stored as a number, text or bytes."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE)
        array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
        value = array.item() if array.size == 1 else array.tolist()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, TypeError, SyntaxError, MemoryError, SystemError, tokenize.TokenError) as error:
        what = "an empty file" if not content else f"not a whole npy file ({len(content):,} bytes)"
        raise DataError(f"{path}: {what}; expected an array of one number: get the file again") from error
    try:
        return float(value.decode() if isinstance(value, bytes) else value)
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: holds {repr(value)[:40]}; expected one number") from error
