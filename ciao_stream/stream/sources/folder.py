"""The images in a folder and its sub-folders, in the order of their paths."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from ciao_stream.exceptions import DataError
from ciao_stream.faces.dataset import Framing
from ciao_stream.faces.readers.folders import images_below
from ciao_stream.faces.readers.image_files import SUFFIXES, ImageFiles
from ciao_stream.stream.sources import Skipped, SourceFrame, Tell, slug

FORM = "folder:DIR"


@dataclass(frozen=True)
class Folder:
    """Image files without labels, a :class:`~ciao_stream.stream.sources.Source`.

    Args:
        images: The files.
    """

    images: ImageFiles
    spec = None
    framing: Framing = "photo"

    @property
    def title(self) -> str:
        """The folder's name."""
        return slug(self.images.folder.resolve().name)

    place = title

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the names and contents of all files in order."""
        return self.images.fingerprint

    @property
    def count(self) -> int:
        """Number of files."""
        return len(self.images)

    def frames(self, _: Tell) -> Generator[SourceFrame | Skipped, None, None]:
        """Yield the images; one that is damaged is skipped."""
        for number in range(len(self.images)):
            try:
                yield SourceFrame(number, self.images.read(number))
            except DataError as error:
                yield Skipped(number, "unreadable", str(error))


def open_source(text: str) -> Folder:
    """List a folder's images; none is opened.

    Raises:
        DataError: There is no such folder, or it has no images.
    """
    folder = Path(text)
    if not text or not folder.is_dir():
        raise DataError(f"source folder:{text}: there is no such folder")
    names = tuple(path.relative_to(folder).as_posix() for path in images_below(folder))
    if not names:
        raise DataError(f"source folder:{text}: no images found; expected files that end in {', '.join(SUFFIXES)}")
    return Folder(ImageFiles(folder, names))
