"""Where frames come from. Each source is the module of its name, and its ``FORM`` shows how the source is written.

A source module has ``FORM`` and ``open_source(text)``, where ``text`` is what follows ``NAME:``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from ciao_stream.exceptions import CiaoError, did_you_mean
from ciao_stream.runtime.options import option, validate
from ciao_stream.runtime.plugins import load_plugin, plugin_constant, plugin_names

if TYPE_CHECKING:
    from ciao_stream.faces.dataset import Framing, Image
    from ciao_stream.faces.task import TaskSpec
    from ciao_stream.stream.log.events import Label

Tell = Callable[[str], None]
"""Called with one line when a source waits for something."""


@dataclass(frozen=True, eq=False)
class SourceFrame:
    """One frame of a source.

    Args:
        number: Its number in the source, from 0.
        image: The whole image, or the face if the source's ``framing`` says so.
        label: None where the source has no label for it.
        captured_at: Unix seconds; None where the frame is not live.
        person: Who it shows; None where unknown.
    """

    number: int
    image: Image
    label: Label | None = None
    captured_at: float | None = None
    person: str | None = None


@dataclass(frozen=True)
class Skipped:
    """A frame that is not sent.

    Args:
        number: Its number in the source, from 0.
        reason: Why, in words under which such frames are counted (``no face found``).
        text: What is wrong with this one, in one line.
    """

    number: int
    reason: str
    text: str


class Source(Protocol):
    """Gives frames one at a time, and holds at most one."""

    @property
    def title(self) -> str:
        """Short name, ASCII without spaces (``camera0``)."""
        ...

    @property
    def fingerprint(self) -> str | None:
        """Hex digest of everything that determines the frames, labels and order; None for a live source."""
        ...

    @property
    def spec(self) -> TaskSpec | None:
        """The task of its labels; None where it has no labels."""
        ...

    @property
    def framing(self) -> Framing:
        """``photo`` if the face has to be found first, else ``face``."""
        ...

    @property
    def count(self) -> int | None:
        """Number of frames; None where unknown."""
        ...

    @property
    def place(self) -> str | None:
        """The ``camera`` of the frames' headers."""
        ...

    def frames(self, tell: Tell) -> Generator[SourceFrame | Skipped, None, None]:
        """Yield the frames from the first one; a live source yields its newest frame on each request."""
        ...


@dataclass(frozen=True)
class DatasetOptions:
    """How a data set is replayed.

    Args:
        data_root: Folder that holds the data sets. None replays the synthetic worlds.
        split: Split to replay.
        shuffle: Seed of a random order. None keeps the order of the split.
        synthetic_size: Faces in the split of a synthetic world.
    """

    data_root: Path | None = None
    split: Literal["train", "validation", "test"] | None = option(None, shown="train")
    shuffle: int | None = option(None, least=0, metavar="SEED", shown="the order of the split")
    synthetic_size: int | None = option(None, least=1)

    def __post_init__(self) -> None:
        validate(self)


def forms() -> list[str]:
    """Return how each source is written; no source is imported."""
    return [plugin_constant(__name__, name, "FORM") for name in plugin_names(__name__)]


def open_source(text: str, options: DatasetOptions | None = None) -> Source:
    """Open the source that a text names.

    Args:
        text: One of :func:`forms`, or a camera's number, a file or a folder.
        options: For ``dataset`` only.

    Raises:
        CiaoError: There is no such source, it cannot be opened, or it is not a data set and has options of one.
    """
    options = options or DatasetOptions()
    name, rest = _read(text)
    if name == "dataset":
        return load_plugin(__name__, name, "source").open_source(rest, options)  # type: ignore[no-any-return]
    if (options.split, options.shuffle, options.synthetic_size) != (None, None, None):
        raise CiaoError(f"source {text!r}: --split, --shuffle and --synthetic-size are for dataset:TASK: omit them")
    return load_plugin(__name__, name, "source").open_source(rest)  # type: ignore[no-any-return]


def slug(text: str) -> str:
    """Return a text as part of a name in messages, at most 60 characters.

    >>> slug("my clip (ü).mp4")
    'my-clip----.mp4'
    """
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in text)[:60] or "-"


def _read(text: str) -> tuple[str, str]:
    """Return a source's name and what follows it."""
    name, colon, rest = text.partition(":")
    if "://" in text:
        return "url", text
    known = plugin_names(__name__)
    if colon and name in known:
        return name, rest
    if text.isdecimal():
        return "camera", text
    if Path(text).is_dir():
        return "folder", text
    if Path(text).exists():
        return "video", text
    hint = did_you_mean(name, known) if colon else ""
    expected = f"a file, a folder or {', '.join(forms())}"
    raise CiaoError(f"source {text!r} not found: {hint and hint + ' '}expected {expected}")
