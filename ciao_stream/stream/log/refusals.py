"""Why a message is refused: a code that is counted, and a text that is read."""

from __future__ import annotations

from enum import StrEnum

from ciao_stream.exceptions import CiaoError

TEXT_LENGTH = 300
"""Most characters of a refusal's text; it may quote what a stranger sent."""


class Reason(StrEnum):
    """Why; the value stands in dead letters, counts and ``status``."""

    TRUNCATED = "truncated"
    """Bytes are missing at the end of the message or of the image."""
    CORRUPT = "corrupt"
    """Bytes are not those that were sent, or the image cannot be decoded."""
    TOO_LARGE = "too_large"
    """The image or the header has more bytes than allowed."""
    NOT_AN_IMAGE = "not_an_image"
    """Neither JPEG nor PNG."""
    BOMB = "bomb"
    """A small file that would unpack to more pixels than allowed."""
    BAD_HEADER = "bad_header"
    """The header, or the set of fields, is not as the format has it."""
    BAD_TASK = "bad_task"
    """A declared task contradicts itself or what it was declared as before."""
    UNKNOWN_TASK = "unknown_task"
    """No task of that name has been declared."""
    BAD_LABEL = "bad_label"
    """The label names what the task has not, or a value is out of range."""
    WRONG_KIND = "wrong_kind"
    """The label, or the second declaration, is of another kind than the task."""
    FUTURE = "future"
    """Captured later than Redis took it."""
    DUPLICATE_ID = "duplicate_id"
    """The id was used for something else before."""
    CRASH = "crash"
    """Applying it ended the process, again and again."""


class BadMessage(CiaoError):  # noqa: N818  it is a message, and bad
    """A message that will never be accepted, however often it comes.

    Args:
        reason: The code.
        text: What was expected and what came; cut to one line of :data:`TEXT_LENGTH` printable characters.
    """

    def __init__(self, reason: Reason, text: str) -> None:
        line = "".join(c if c.isprintable() else "?" for c in text)
        super().__init__(line if len(line) <= TEXT_LENGTH else line[: TEXT_LENGTH - 3] + "...")
        self.reason = reason
