"""Undoing: a learner goes back to a checkpoint, and passes over what is not to be learned when it goes on.

Nothing is replayed here. What a learner does at its next start is what it does after every crash: it takes the newest
checkpoint, and reads on from there.
"""

from __future__ import annotations

from dataclasses import dataclass

from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.learner.checkpoint import Checkpoints, Kept
from ciao_stream.stream.learner.folder import LearnerFolder
from ciao_stream.stream.learner.undone import Range, Undone
from ciao_stream.stream.log.keys import START, Entry, order
from ciao_stream.stream.log.log import History
from ciao_stream.stream.log.messages import FrameHeader, LabelHeader, header_of
from ciao_stream.stream.log.refusals import BadMessage


@dataclass(frozen=True)
class Undo:
    """What was undone.

    Args:
        checkpoint: What the learner goes on from.
        entries: Entries after it that it passes over; None: all of them up to where it was.
    """

    checkpoint: Kept
    entries: int | None


def undo_to(folder: LearnerFolder, number: int) -> Undo:
    """Go back to a checkpoint: what was learned after it is forgotten, and not learned again.

    Tasks that were declared after it stay declared, as far as the stream still holds their declarations: a producer
    that goes on sends none anew.

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
        raise CiaoError(f"there is no checkpoint {number} in {folder.checkpoints}: there are {known}")
    if order(kept[-1].position) > order(chosen.position):
        _go_back(folder, kept, chosen, ((_after(chosen.position), kept[-1].position),))
    return Undo(chosen, None)


def undo_frame(folder: LearnerFolder, history: History, frame_id: str, task: str | None = None) -> Undo:
    """Take back a frame and its labels: the learner goes on as if they had never come.

    Args:
        folder: The learner's; claimed.
        history: The stream, which must still hold everything since the last checkpoint before the frame.
        frame_id: The frame.
        task: Its task; None: whichever has a frame of that name.

    Raises:
        CiaoError: The frame is not in the stream any more, or was learned before all checkpoints that are kept.
    """
    kept = checkpoints_of(folder)
    newest = kept[-1].position
    about = [
        (entry.position, header)
        for entry in history.entries(START, newest)
        if (header := _header(entry)) and header.frame_id == frame_id and task in (None, header.task)
    ]
    frames = [position for position, header in about if isinstance(header, FrameHeader)]
    if not frames:
        raise CiaoError(
            f"frame {frame_id!r} is not among what was learned and is still in the stream: it was trimmed, or never "
            "there; `undo --to` goes back to a checkpoint"
        )
    before = [one for one in kept if order(one.position) < order(frames[0])]
    if not before or not history.holds_all_after(before[-1].position):
        raise CiaoError(
            f"frame {frame_id!r} came at {frames[0]}, and the stream was trimmed behind the last checkpoint before it: "
            "`undo --to` goes back to a checkpoint"
        )
    _go_back(folder, kept, before[-1], tuple((position, position) for position, _ in about))
    return Undo(before[-1], len(about))


def checkpoints_of(folder: LearnerFolder) -> list[Kept]:
    """Return the checkpoints that a learner can go back to, the oldest first.

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


def _go_back(folder: LearnerFolder, kept: list[Kept], chosen: Kept, ranges: tuple[Range, ...]) -> None:
    """Write down what is passed over, then drop the checkpoints that have learned it."""
    Undone.read(folder.undone).with_more(ranges, kept[0].position).write(folder.undone)
    for one in reversed(kept):
        if one.number > chosen.number:
            one.path.unlink()


def _after(position: str) -> str:
    ms, seq = order(position)
    return f"{ms}-{seq + 1}"
