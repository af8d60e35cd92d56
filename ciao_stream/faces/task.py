"""What a task is: its kind of target, its labels and its primary metric."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.runtime.expect import described, expect, names_folder

Kind = Literal["categorical", "votes", "dimensional", "multilabel"]
"""The four kinds of target of a face.

==============  ======================  ==========================================================
kind            array of N targets      meaning
==============  ======================  ==========================================================
categorical     int64 (N,)              index of the one class, in ``[0, n_out)``
votes           float32 (N, n_out)      share of annotators per class; each row sums to 1
dimensional     float32 (N, n_out)      one value per dimension (arousal, valence), in ``[-1, 1]``
multilabel      float32 (N, n_out)      1.0 where a label is present, else 0.0
==============  ======================  ==========================================================
"""

KINDS: tuple[Kind, ...] = get_args(Kind)

EMOTIONS: tuple[str, ...] = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
)  # fmt: skip
"""The canonical order of the eight emotions (FER+'s). Data sets are mapped to it by name, never by position."""

PRIMARY_METRIC: dict[Kind, str] = {
    "categorical": "accuracy",
    "votes": "accuracy",
    "dimensional": "ccc",
    "multilabel": "macro_f1",
}
"""The metric that the literature reports for each kind; higher is better for all."""


@dataclass(frozen=True)
class TaskSpec:
    """A task as data: it determines losses, metrics, heads and rows of tables.

    Args:
        name: Short name, as on the command line (``fer``); it must be a valid name of a folder.
        kind: Kind of target, one of :data:`KINDS`.
        labels: Names of the outputs, in order: classes, dimensions or labels.

    Raises:
        UnknownNameError: ``kind`` is not one of the four.
        CiaoError: The name is not valid, there are fewer labels than the kind needs, or a label is given twice.

    >>> TaskSpec("fer", "categorical", EMOTIONS[:7]).n_out
    7
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownNameError("kind of target", self.kind, KINDS)
        expect("name", self.name, str)
        if isinstance(self.labels, str) or not isinstance(self.labels, Iterable):
            raise CiaoError(f"task {self.name!r}: labels: expected a tuple of names but got {described(self.labels)}")
        object.__setattr__(self, "labels", tuple(self.labels))
        for label in self.labels:
            expect(f"task {self.name!r}: label", label, str)
        if not self.name:
            raise CiaoError("name: expected the name of a task but got ''")
        if not names_folder(self.name):
            raise CiaoError(f"task {self.name!r}: a folder cannot have this name, but the task's world needs one")
        least = 2 if self.has_classes else 1
        if len(self.labels) < least:
            wanted = f"{least} label{'s' if least > 1 else ''}"
            raise CiaoError(f"task {self.name!r}: expected at least {wanted} but got {len(self.labels)}")
        if len(set(self.labels)) != len(self.labels):
            raise CiaoError(f"task {self.name!r}: a label is given twice in {', '.join(self.labels)}")

    @property
    def n_out(self) -> int:
        """Number of outputs of the head."""
        return len(self.labels)

    @property
    def has_classes(self) -> bool:
        """Whether the task predicts one class (categorical and votes)."""
        return self.kind in ("categorical", "votes")

    @property
    def primary(self) -> str:
        """Name of the primary metric."""
        return PRIMARY_METRIC[self.kind]

    def to_json(self) -> dict[str, Any]:
        """Return the spec as plain JSON values; :meth:`from_json` is its inverse."""
        return {
            "name": self.name,
            "kind": self.kind,
            "labels": list(self.labels),
            "primary": self.primary,
            "direction": "higher",
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TaskSpec:
        """Rebuild a spec written by :meth:`to_json`.

        Raises:
            CiaoError: A field is missing or out of range.
        """
        try:
            name, kind, labels = data["name"], data["kind"], data["labels"]
        except (KeyError, TypeError) as error:
            raise CiaoError(f"not a task specification: {error}") from error
        if not (isinstance(labels, list) and all(isinstance(text, str) for text in (name, kind, *labels))):
            raise CiaoError(f"not a task specification: expected text and a list of labels but got {data!s:.200}")
        return cls(name, kind, tuple(labels))
