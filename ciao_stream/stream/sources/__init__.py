"""Where frames come from: camera, video, address, folder, data set or drawn; each is the module of its name."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ciao_stream.exceptions import CiaoError, did_you_mean
from ciao_stream.faces.dataset import Framing, Image, Split
from ciao_stream.faces.task import TaskSpec
from ciao_stream.runtime.plugins import load_plugin, plugin_names
from ciao_stream.stream.log.events import Label

FORMS = {
    "camera": "camera:NUMBER",
    "video": "video:FILE",
    "url": "rtsp://... or http(s)://...",
    "folder": "folder:DIR",
    "dataset": "dataset:TASK",
    "synthetic": "synthetic:robot",
}
"""How the sources are written. A camera's bare number, a file and a folder are known without the word."""

Tell = Callable[[str], None]
"""Told, in one line, of what is waited for."""


@dataclass(frozen=True, eq=False)
class SourceFrame:
    """One picture of a source.

    Args:
        number: Which of the source's pictures it is, from 0.
        image: The picture, or the face where the source's ``framing`` says so.
        label: The answer that the source has for it; None where it has none.
        captured_at: Unix seconds; None where it is not seen live.
        person: Who it shows; None where nobody can tell.
    """

    number: int
    image: Image
    label: Label | None = None
    captured_at: float | None = None
    person: str | None = None


@dataclass(frozen=True)
class Skipped:
    """A picture that is left out.

    Args:
        number: Which of the source's pictures it is, from 0.
        reason: Why, in words that are counted (``no face found``).
        text: What is wrong with this one, in one line.
    """

    number: int
    reason: str
    text: str


class Source(Protocol):
    """Gives pictures one at a time, and holds no more than one."""

    @property
    def title(self) -> str:
        """Short name, of ASCII without spaces (``camera0``)."""
        ...

    @property
    def fingerprint(self) -> str | None:
        """Hex digest of all that decides the pictures, their labels and their order; None: they come once, live."""
        ...

    @property
    def spec(self) -> TaskSpec | None:
        """The task of its labels; None where it has no labels."""
        ...

    @property
    def framing(self) -> Framing:
        """Whether the face has to be found in the pictures first."""
        ...

    @property
    def count(self) -> int | None:
        """Number of pictures; None where nobody knows."""
        ...

    @property
    def place(self) -> str | None:
        """What stands as ``camera`` in the frames' headers."""
        ...

    def frames(self, tell: Tell) -> Generator[SourceFrame | Skipped, None, None]:
        """Yield the pictures from the first one on; a live source: the newest there is whenever one is asked for."""
        ...


@dataclass(frozen=True)
class DatasetOptions:
    """How a data set is replayed.

    Args:
        data_root: Where the data sets lie; None for the synthetic worlds.
        split: Which split; None: ``train``.
        shuffle: Seed of the order; None: the split's own order.
        size: Faces of the split of a synthetic world; None: the world's own number.
    """

    data_root: Path | None = None
    split: Split | None = None
    shuffle: int | None = None
    size: int | None = None


def open_source(text: str, options: DatasetOptions | None = None) -> Source:
    """Return the source that a text names.

    Args:
        text: As in :data:`FORMS`, or a camera's number, a file or a folder.
        options: For ``dataset`` alone.

    Raises:
        CiaoError: There is no such source, it cannot be opened, or options are given for another than a data set.
    """
    options = options or DatasetOptions()
    name, rest = _read(text)
    if name == "dataset":
        return load_plugin(__name__, name, "source").open_source(rest, options)  # type: ignore[no-any-return]
    if (options.split, options.shuffle, options.size) != (None, None, None):
        raise CiaoError(f"source {text!r}: a split, an order and a size are for data sets: give dataset:TASK")
    return load_plugin(__name__, name, "source").open_source(rest)  # type: ignore[no-any-return]


def slug(text: str) -> str:
    """Return a text as part of a name on the wire, at most 60 characters.

    >>> slug("my clip (ü).mp4")
    'my-clip----.mp4'
    """
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in text)[:60] or "-"


def _read(text: str) -> tuple[str, str]:
    """Return a source's name and what follows it."""
    name, colon, rest = text.partition(":")
    if "://" in text:
        return "url", text
    if colon and name in plugin_names(__name__):
        return name, rest
    if text.isdecimal():
        return "camera", text
    if Path(text).is_dir():
        return "folder", text
    if Path(text).exists():
        return "video", text
    hint = did_you_mean(name, FORMS) if colon else ""
    raise CiaoError(
        f"source {text!r}: no such file or folder; {hint and hint + ' '}expected {', '.join(FORMS.values())}"
    )
