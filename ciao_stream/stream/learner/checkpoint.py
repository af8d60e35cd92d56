"""Checkpoints: one file holds a whole learner and its position in the stream, so that the two can never disagree.

A file consists of a line that names the format, the sha256 of everything else, and a safetensors blob with the tensors
and, in its metadata, the JSON values. safetensors alone would not detect a flipped byte of a tensor.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.numpy import save  # safetensors.torch.save makes ctypes cache a type for every size, for ever

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.atomic import write_bytes

if TYPE_CHECKING:
    from ciao_stream.encoders.base import Encoder
    from ciao_stream.stream.learner.learner import OnlineLearner

FORMAT = b"ciao_stream/checkpoint/1\n"
KEPT = 3
"""Number of newest checkpoints that a folder keeps."""

MILESTONES = 8
"""Maximum number of older checkpoints that it also keeps, to roll back to."""

MILESTONE = 16
"""One checkpoint in so many becomes such an older one."""

DIGEST = 32
"""Size of a sha256 in bytes."""

VALUES = "values"
"""Key of the single entry in the blob's metadata."""

SUFFIX = ".checkpoint"


class DamagedCheckpointError(CiaoError):
    """A checkpoint file differs from what was written."""


@dataclass(frozen=True)
class Kept:
    """One checkpoint in a folder, described by its file name.

    Args:
        path: The file.
        number: Increases with each checkpoint written, also after an undo.
        position: Of the learner in the stream.
    """

    path: Path
    number: int
    position: str


@dataclass(frozen=True, eq=False)
class Restored:
    """A learner loaded from a folder.

    Args:
        learner: In the state in which the checkpoint was written.
        notes: JSON values saved with it.
        kept: The checkpoint.
        incidents: One line for each newer checkpoint that is damaged, and for each setting that was removed.
    """

    learner: OnlineLearner
    notes: dict[str, Any]
    kept: Kept
    incidents: tuple[str, ...]


def encode(learner: OnlineLearner, notes: Mapping[str, Any] | None = None) -> bytes:
    """Return a checkpoint's bytes; the same learner and notes give the same bytes.

    Args:
        learner: The learner.
        notes: JSON values to save with it, such as a follower's counters.
    """
    state = learner.to_state()
    tensors = {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in state.tensors.items()}
    # A single entry, because safetensors writes several in arbitrary order.
    blob = save(tensors, metadata={VALUES: json.dumps({"learner": state.values, "notes": dict(notes or {})})})
    return FORMAT + hashlib.sha256(FORMAT + blob).digest() + blob


def decode(data: bytes, encoder: Encoder) -> tuple[OnlineLearner, dict[str, Any]]:
    """Return the learner and the notes given to :func:`encode`.

    Raises:
        DamagedCheckpointError: The bytes differ from those that were written.
        CiaoError: The format is unknown, or the learner was saved with another encoder.
    """
    from safetensors.torch import load

    from ciao_stream.runtime.state import State
    from ciao_stream.stream.learner.learner import OnlineLearner

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
    """The checkpoints of one learner in a folder: the newest ones and some older ones.

    Args:
        folder: Created if it is missing.
        keep: Number of newest checkpoints to keep, >= 1.
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
        """Save a learner. On return the file is on disk, and the oldest checkpoints may be deleted.

        Args:
            learner: The learner.
            notes: JSON values to save with it.

        Raises:
            CiaoError: The file cannot be written; the earlier ones are unchanged.
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
        """Return the learner of the newest intact checkpoint; None if the folder has no checkpoint.

        Raises:
            CiaoError: All checkpoints are damaged; or the newest intact one has an unknown format or was saved with
                another encoder.
        """
        incidents: list[str] = []
        for kept in reversed(self.kept()):
            try:
                learner, notes = read(kept.path, encoder)
            except DamagedCheckpointError as error:
                incidents.append(str(error))
                continue
            incidents += learner.remarks
            return Restored(learner, notes, kept, tuple(incidents))
        if incidents:
            raise CiaoError(f"{'; '.join(incidents)}: no checkpoint in {self.folder} is intact; move them elsewhere")
        return None


def read(path: Path, encoder: Encoder) -> tuple[OnlineLearner, dict[str, Any]]:
    """Read one checkpoint: the learner and the notes.

    Raises:
        DamagedCheckpointError: It is damaged.
        CiaoError: It cannot be read, has an unknown format, or was saved with another encoder.
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
