"""Checkpoints: one file holds a whole learner and its position in the stream, so that the two can never disagree.

A file is a line that names the format, the sha256 of everything else, and a safetensors blob: the tensors, and in its
metadata the JSON values. safetensors alone takes a flipped byte of a tensor for data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import save  # that of safetensors.torch has ctypes keep a type for every size, for ever
from safetensors.torch import load

from ciao_stream.encoders.base import Encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.atomic import write_bytes
from ciao_stream.runtime.state import State
from ciao_stream.stream.learner.learner import OnlineLearner

FORMAT = b"ciao_stream/checkpoint/1\n"
KEPT = 3
"""Checkpoints that a folder keeps: the newest ones."""

MILESTONES = 8
"""Older checkpoints that it keeps beside them, to go back to: every so many-th, from the first on."""

MILESTONE = 16
"""Checkpoints from one such to the next."""

DIGEST = 32
"""Bytes of a sha256."""

VALUES = "values"
"""Name of the one entry in the blob's metadata."""

SUFFIX = ".checkpoint"


class DamagedCheckpointError(CiaoError):
    """A checkpoint's file is not what was written."""


@dataclass(frozen=True)
class Kept:
    """One checkpoint in a folder, as its name tells.

    Args:
        path: The file.
        number: Grows from each checkpoint to the next one written, also where the learner went back in between.
        position: Of the learner in the stream.
    """

    path: Path
    number: int
    position: str


@dataclass(frozen=True, eq=False)
class Restored:
    """What was read from a folder.

    Args:
        learner: As it was when the checkpoint was written.
        notes: What the writer kept with it.
        kept: The checkpoint.
        incidents: One line for each newer checkpoint that was damaged.
    """

    learner: OnlineLearner
    notes: dict[str, Any]
    kept: Kept
    incidents: tuple[str, ...]


def encode(learner: OnlineLearner, notes: Mapping[str, Any] | None = None) -> bytes:
    """Return a checkpoint's bytes; the same learner and notes give the same ones.

    Args:
        learner: The learner.
        notes: JSON values that are to go with it, such as the counts of whoever reads the stream.
    """
    state = learner.to_state()
    tensors = {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in state.tensors.items()}
    # One entry alone: safetensors writes several in any order.
    blob = save(tensors, metadata={VALUES: json.dumps({"learner": state.values, "notes": dict(notes or {})})})
    return FORMAT + hashlib.sha256(FORMAT + blob).digest() + blob


def decode(data: bytes, encoder: Encoder) -> tuple[OnlineLearner, dict[str, Any]]:
    """Return the learner and the notes that :func:`encode` was given.

    Raises:
        DamagedCheckpointError: The bytes are not those that were written.
        CiaoError: The format is another one, or the learner stood on another encoder.
    """
    named, digest, blob = data[: len(FORMAT)], data[len(FORMAT) :][:DIGEST], data[len(FORMAT) + DIGEST :]
    if hashlib.sha256(named + blob).digest() != digest:
        raise DamagedCheckpointError("it does not have the recorded sha256")
    if named != FORMAT:
        raise CiaoError(f"expected format {_text(FORMAT)} but got {_text(named)}")
    try:
        header = json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "little")])
        tensors, values = load(blob), json.loads(header["__metadata__"][VALUES])
        learner, notes = values["learner"], values["notes"]
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DamagedCheckpointError(f"it cannot be read: {' '.join(str(error).split())}") from error
    return OnlineLearner.from_state(State(learner, tensors), encoder), notes


class Checkpoints:
    """The checkpoints of one learner, in a folder of their own; the last few are kept, and some older ones.

    Args:
        folder: Made where it is missing.
        keep: How many of the newest, >= 1.
    """

    def __init__(self, folder: Path, keep: int = KEPT) -> None:
        if keep < 1:
            raise CiaoError(f"expected at least 1 checkpoint to keep but got {keep}")
        self.folder = folder
        self.keep = keep

    def kept(self) -> list[Kept]:
        """Return the checkpoints by number, the oldest first, without opening them."""
        found = []
        for path in self.folder.glob(f"*{SUFFIX}"):
            number, _, position = path.name.removesuffix(SUFFIX).partition("_")
            if number.isdecimal() and position:
                found.append(Kept(path, int(number), position))
        return sorted(found, key=lambda kept: kept.number)

    def save(self, learner: OnlineLearner, notes: Mapping[str, Any] | None = None) -> Kept:
        """Write a learner down; once this returns it is on the disk, and the oldest checkpoints may be gone.

        Args:
            learner: The learner.
            notes: JSON values that go with it.

        Raises:
            CiaoError: The file cannot be written; those of before are as they were.
        """
        before = self.kept()
        number = before[-1].number + 1 if before else 1
        path = self.folder / f"{number:09d}_{learner.position}{SUFFIX}"
        write_bytes(path, encode(learner, notes))
        older = before[: len(before) + 1 - self.keep]
        milestones = [kept for kept in older if kept.number % MILESTONE == 1]
        for old in older:
            if old not in milestones[-MILESTONES:]:
                old.path.unlink(missing_ok=True)
        return Kept(path, number, learner.position)

    def load(self, encoder: Encoder) -> Restored | None:
        """Return the newest learner that is whole; None where the folder has no checkpoint.

        Raises:
            CiaoError: There are checkpoints, but all are damaged; or the newest whole one is of another format or
                stands on another encoder.
        """
        incidents: list[str] = []
        for kept in reversed(self.kept()):
            try:
                learner, notes = read(kept.path, encoder)
            except DamagedCheckpointError as error:
                incidents.append(str(error))
                continue
            return Restored(learner, notes, kept, tuple(incidents))
        if incidents:
            raise CiaoError("; ".join(incidents) + f": no checkpoint in {self.folder} is whole; move them elsewhere")
        return None


def read(path: Path, encoder: Encoder) -> tuple[OnlineLearner, dict[str, Any]]:
    """Read one checkpoint: the learner and the notes.

    Raises:
        DamagedCheckpointError: It is damaged.
        CiaoError: It is not there or cannot be read; or it is of another format or stands on another encoder.
    """
    try:
        return decode(path.read_bytes(), encoder)
    except OSError as error:
        raise CiaoError(f"cannot read checkpoint {path}: {error.strerror}") from error
    except DamagedCheckpointError as error:
        raise DamagedCheckpointError(f"checkpoint {path} is damaged: {error}") from error
    except CiaoError as error:
        raise CiaoError(f"checkpoint {path}: {error}") from error


def _text(name: bytes) -> str:
    return name.decode("ascii", "replace").strip()
