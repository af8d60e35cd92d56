"""What happens on a stream, in order: a task is declared, a frame comes, a label comes (with its frame, later, again).

The order of application is that of :attr:`Event.position`, the entry's id in the stream; times are for display alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ciao_stream.faces.dataset import Image
from ciao_stream.faces.task import TaskSpec

Label = str | Sequence[str] | Mapping[str, float]
"""An annotator's answer, by name and never by index, so that it outlives new classes: a class (categorical), votes by
class (votes), a value by dimension (dimensional), or the labels that are present (multilabel)."""


@dataclass(frozen=True, eq=False)
class Event:
    """One entry of the stream.

    Args:
        position: Id of the entry, ``MILLISECONDS-SEQUENCE``; grows from entry to entry.
        task: Name of the task.
    """

    position: str
    task: str


@dataclass(frozen=True, eq=False)
class TaskDeclared(Event):
    """A task begins, or is given further labels after those that it has.

    Args:
        spec: The task.
    """

    spec: TaskSpec


@dataclass(frozen=True, eq=False)
class FrameCame(Event):
    """A face, with its label or without.

    Args:
        frame_id: The producer's name for the frame, of its own among all frames.
        image: The decoded face, cropped.
        label: None where it is not known yet.
    """

    frame_id: str
    image: Image
    label: Label | None


@dataclass(frozen=True, eq=False)
class LabelCame(Event):
    """A label of an earlier frame: its first one, or a correction.

    Args:
        frame_id: The frame.
        label: The answer that holds from now on.
    """

    frame_id: str
    label: Label
