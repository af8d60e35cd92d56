"""Undo: roll a learner back to a checkpoint, or take one frame back.

Nothing is replayed here. At its next start the learner does what it does after every crash: it loads the newest
checkpoint and reads on from there. :class:`Undone` lists the positions that it then skips.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.atomic import write_text
from ciao_stream.stream.learner.checkpoint import Checkpoints, Kept
from ciao_stream.stream.learner.folder import LearnerFolder
from ciao_stream.stream.log.keys import START, Entry, order
from ciao_stream.stream.log.log import History
from ciao_stream.stream.log.messages import FrameHeader, LabelHeader, header_of
from ciao_stream.stream.log.refusals import BadMessage

Range = tuple[str, str]
"""First and last position, both included."""


class Undone:
    """Ranges of positions whose frames and labels a learner skips, whatever checkpoint it resumes from.

    Args:
        ranges: The ranges.
    """

    def __init__(self, ranges: tuple[Range, ...] = ()) -> None:
        self.ranges = ranges
        self._orders = [(order(first), order(last)) for first, last in ranges]

    def __contains__(self, position: str) -> bool:
        return any(first <= order(position) <= last for first, last in self._orders)

    @classmethod
    def read(cls, path: Path) -> Undone:
        """Read a file that :meth:`write` wrote; if it does not exist, nothing was undone.

        Raises:
            CiaoError: The file is damaged.
        """
        try:
            return cls(tuple((str(first), str(last)) for first, last in json.loads(path.read_text())))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, TypeError) as error:
            raise CiaoError(
                f"{path} is damaged: expected the list of undone positions; restore the file, or delete it to learn "
                "the undone frames again"
            ) from error

    def with_more(self, ranges: tuple[Range, ...], oldest: str) -> Undone:
        """Return these and additional ranges, without those before every checkpoint.

        Args:
            ranges: The additional ones.
            oldest: Position of the oldest checkpoint.
        """
        return Undone(tuple(r for r in (*self.ranges, *ranges) if order(r[1]) > order(oldest)))

    def write(self, path: Path) -> None:
        """Write the ranges to a file.

        Raises:
            CiaoError: The file cannot be written.
        """
        write_text(path, json.dumps(self.ranges))


@dataclass(frozen=True)
class Undo:
    """Result of an undo.

    Args:
        checkpoint: What the learner resumes from.
        entries: Number of entries after it that the learner skips; None: all up to its former position.
    """

    checkpoint: Kept
    entries: int | None


def undo_to(folder: LearnerFolder, number: int) -> Undo:
    """Roll back to a checkpoint: what was learned after it is forgotten and not learned again.

    Tasks declared after it stay declared while the stream holds their declarations, because a producer that resumes
    does not send them again.

    Args:
        folder: The learner's; claimed.
        number: Of the checkpoint.

    Raises:
        CiaoError: There is no such checkpoint, or a file cannot be written.
    """
    kept = checkpoints_of(folder)
    chosen = next((one for one in kept if one.number == number), None)
    if chosen is None:
        known = ", ".join(f"{one.number} ({one.position})" for one in kept)
        raise CiaoError(f"there is no checkpoint {number} in {folder.checkpoints}: choose one of {known}")
    if order(kept[-1].position) > order(chosen.position):
        _roll_back(folder, kept, chosen, ((_after(chosen.position), kept[-1].position),))
    return Undo(chosen, None)


def undo_frame(folder: LearnerFolder, history: History, frame_id: str, task: str | None = None) -> Undo:
    """Take back a frame and its labels: the learner will be as if they had never come.

    Args:
        folder: The learner's; claimed.
        history: The stream; it must still hold all entries since the last checkpoint before the frame.
        frame_id: The frame.
        task: Its task; None: every task with a frame of that name.

    Raises:
        CiaoError: The frame is not in the stream, or all checkpoints before it are gone.
    """
    kept = checkpoints_of(folder)
    newest = kept[-1].position
    named = [
        (entry.position, header)
        for entry in history.entries(START, newest)
        if (header := _header(entry)) and header.frame_id == frame_id
    ]
    about = [(position, header) for position, header in named if task in (None, header.task)]
    if named and not about:
        others = " and ".join(dict.fromkeys(repr(header.task) for _, header in named))
        raise CiaoError(f"frame {frame_id!r} belongs to task {others}, not to {task!r}: correct or omit --task")
    frames = [position for position, header in about if isinstance(header, FrameHeader)]
    if not frames:
        raise CiaoError(
            f"frame {frame_id!r} not found: it was never received, or has been trimmed from the stream. Use "
            "`undo --to N` to roll back to a checkpoint"
        )
    before = [one for one in kept if order(one.position) < order(frames[0])]
    if not before or not history.holds_all_after(before[-1].position):
        raise CiaoError(
            f"frame {frame_id!r} was learned at {frames[0]}, but entries since the last checkpoint before it have been "
            "trimmed from the stream. Use `undo --to N` to roll back to a checkpoint"
        )
    _roll_back(folder, kept, before[-1], tuple((position, position) for position, _ in about))
    return Undo(before[-1], len(about))


def checkpoints_of(folder: LearnerFolder) -> list[Kept]:
    """Return the checkpoints that a learner can be rolled back to, the oldest first.

    Raises:
        CiaoError: There is none.
    """
    kept = Checkpoints(folder.checkpoints).kept()
    if not kept:
        raise CiaoError(f"no learner has worked in {folder.path}: there is nothing to undo")
    return kept


def _header(entry: Entry) -> FrameHeader | LabelHeader | None:
    try:
        header = header_of(entry.fields)
    except BadMessage:
        return None
    return header if isinstance(header, FrameHeader | LabelHeader) else None


def _roll_back(folder: LearnerFolder, kept: list[Kept], chosen: Kept, ranges: tuple[Range, ...]) -> None:
    """Record what to skip, then delete the checkpoints that have learned it."""
    Undone.read(folder.undone).with_more(ranges, kept[0].position).write(folder.undone)
    for one in reversed(kept):
        if one.number > chosen.number:
            one.path.unlink()


def _after(position: str) -> str:
    ms, seq = order(position)
    return f"{ms}-{seq + 1}"
