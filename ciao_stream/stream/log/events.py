"""Events of a stream: a task is declared, a frame arrives, a label arrives (with its frame, later, or as a correction).

Events are applied in the order of :attr:`Event.position`, the entry's id in the stream; times are for display only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ciao_stream.faces.dataset import Image
from ciao_stream.faces.task import TaskSpec

Label = str | Sequence[str] | Mapping[str, float]
"""A label by name, never by index, so that it stays valid when classes are added: a class (categorical), votes by class
(votes), a value by dimension (dimensional), or the labels that are present (multilabel)."""


@dataclass(frozen=True, eq=False)
class Event:
    """One entry of the stream.

    Args:
        position: Id of the entry, ``MILLISECONDS-SEQUENCE``; increases from entry to entry.
        task: Name of the task.
    """

    position: str
    task: str


@dataclass(frozen=True, eq=False)
class TaskDeclared(Event):
    """A new task, or further labels of a known task.

    Args:
        spec: The task.
    """

    spec: TaskSpec


@dataclass(frozen=True, eq=False)
class FrameCame(Event):
    """A face, with or without its label.

    Args:
        frame_id: The producer's name for the frame, unique in the stream.
        image: The decoded face, cropped.
        label: None where unknown.
    """

    frame_id: str
    image: Image
    label: Label | None


@dataclass(frozen=True, eq=False)
class LabelCame(Event):
    """The first label of an earlier frame, or a correction.

    Args:
        frame_id: The frame.
        label: The label that replaces any earlier one.
    """

    frame_id: str
    label: Label
