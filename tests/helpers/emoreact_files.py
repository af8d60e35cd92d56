"""A small copy of EmoReact's layout: real mp4 clips whose frames can be identified by their colour."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from benchmarks.synthetic import load as load_synthetic

PLACES = {"train": ("Train", "train"), "validation": ("Validation", "val"), "test": ("Test", "test")}
"""Folder of the clips, and how the names of the text files begin, by split."""

STEMS = ("it's alive_3", "ZOO, a fish!_1", "'tis_2", "Crème_10")
"""Beginnings of names, in an order that is not the alphabet's."""

STEP = 12
"""Steps of colour between frames, and between clips; compression moves a colour by up to 4."""


class Clip(NamedTuple):
    name: str
    labels: tuple[int, ...]
    valence: float
    frames: int


def write_clip(path: Path, frames: Iterable[np.ndarray], codec: str = "mp4v") -> Path:
    """Write frames in RGB order to a clip of 15 frames a second."""
    writer = None
    for frame in frames:
        height, width = frame.shape[:2]
        writer = writer or cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 15, (width, height))
        assert writer.isOpened()
        writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
    writer.release()
    return path


def coloured(number: int, clip: int = 0, split: int = 0, shape: tuple[int, int] = (64, 80)) -> np.ndarray:
    """Frame ``number`` of a clip: red encodes the frame, green the clip, blue the split."""
    colour = [8 + STEP * number, 20 + STEP * clip, 60 + 60 * split]
    return np.full((*shape, 3), colour, dtype=np.uint8)


def seen_in(frame: np.ndarray) -> tuple[int, int, int]:
    """Return number, clip and split that :func:`coloured` put into a frame."""
    red, green, blue = (float(np.median(frame[:, :, channel])) for channel in range(3))
    return round((red - 8) / STEP), round((green - 20) / STEP), round((blue - 60) / 60)


def write_emoreact(
    root: Path,
    *,
    reverse: bool = False,
    faces: bool = False,
    clips: int = 4,
    folder: str = "emoreact",
    names_in: str = "Labels",
    suffix: str = ".text",
) -> dict[str, list[Clip]]:
    """Write all three splits, and return the clips of each in the order of the names file.

    Args:
        root: The data root.
        reverse: Write the files in the opposite order.
        faces: Draw faces of the synthetic world, with its labels; else plain colours: see :func:`coloured`.
        clips: How many per split; with faces some more, where some label needs them to have both values.
        folder: Where the data set lies.
        names_in: Folder of the names files, ``.`` for the data set's own.
        suffix: Ending of the labels files.
    """
    truth = {}
    for number, (split, (place, stem)) in enumerate(PLACES.items()):
        of_split, pictures = _drawn(split, clips) if faces else _plain(split, clips, number)
        truth[split] = of_split
        for part in (f"Data/{place}", "Labels", names_in):
            (root / folder / part).mkdir(parents=True, exist_ok=True)
        for clip, frames in sorted(
            zip(of_split, pictures, strict=True), key=lambda pair: pair[0].name, reverse=reverse
        ):
            write_clip(root / folder / "Data" / place / clip.name, frames)
        quoted = ["'" + clip.name.replace("'", "''") + "'" for clip in of_split]
        (root / folder / names_in / f"{place[:3] if stem == 'val' else place}_names.txt").write_text("\n".join(quoted))
        lines = [",".join(map(str, (*clip.labels, clip.valence))) + "\n" for clip in of_split]
        (root / folder / "Labels" / f"{stem}_labels{suffix}").write_text("".join(lines))
    return truth


def _plain(split: str, clips: int, number: int) -> tuple[list[Clip], list[list[np.ndarray]]]:
    """Clips of plain colours; two in a row have opposite labels."""
    made = []
    for index in range(clips):
        bits = (0b10110010 + 53 * number + 37 * (index // 2)) % 256 ^ (255 if index % 2 else 0)
        labels = tuple(bits >> label & 1 for label in range(8))
        made.append(Clip(_name(index, split), labels, 1 + index % 13 / 2, 12 + 2 * (index % 5)))
    assert len({clip.labels for clip in made}) == clips
    return made, [[coloured(i, index, number) for i in range(clip.frames)] for index, clip in enumerate(made)]


def _drawn(split: str, clips: int) -> tuple[list[Clip], list[list[np.ndarray]]]:
    """Clips of faces; each of an event's four images is three frames."""
    drawn = getattr(load_synthetic("emoreact", train=800, validation=800, test=800, size=96), split)
    targets = drawn.targets[::4].astype(int)
    chosen: list[int] = []
    for label in range(8):
        for value in (1, 0):
            if value not in targets[chosen, label]:
                chosen.append(int(np.argmax(targets[:, label] == value)))
    chosen += [event for event in range(len(targets)) if event not in chosen][: max(clips - len(chosen), 0)]
    made = [Clip(_name(i, split), tuple(targets[event].tolist()), 4.0, 12) for i, event in enumerate(chosen)]
    return made, [[drawn.image(4 * event + i // 3) for i in range(12)] for event in chosen]


def _name(index: int, split: str) -> str:
    stem = STEMS[index] if index < len(STEMS) else f"{index * 7 % 10} candy_{index}"
    return f"{stem}_{split}.mp4"


def rewrite_lines(path: Path, change) -> None:
    """Replace a file's lines by ``change(lines)``."""
    path.write_text("\n".join(change(path.read_text().rstrip("\n").split("\n"))) + "\n")
