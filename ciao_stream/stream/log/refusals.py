"""Why a message is refused: a code to count, and a text to read."""

from __future__ import annotations

from enum import StrEnum

from ciao_stream.exceptions import CiaoError

TEXT_LENGTH = 300
"""Most characters of a refusal's text, which may quote untrusted input."""


class Reason(StrEnum):
    """Code of a refusal, as in dead letters, counters and ``status``."""

    TRUNCATED = "truncated"
    """The message or the image is incomplete."""
    CORRUPT = "corrupt"
    """Bytes differ from those sent, or the image cannot be decoded."""
    TOO_LARGE = "too_large"
    """The image or the header exceeds the limit in bytes."""
    NOT_AN_IMAGE = "not_an_image"
    """Neither JPEG nor PNG."""
    BOMB = "bomb"
    """A small file that decodes to more pixels than allowed."""
    BAD_HEADER = "bad_header"
    """The header or the set of fields violates the format."""
    BAD_TASK = "bad_task"
    """A declared task contradicts itself or its earlier declaration."""
    UNKNOWN_TASK = "unknown_task"
    """The task has not been declared."""
    BAD_LABEL = "bad_label"
    """The task has no such label, or a value is out of range."""
    WRONG_KIND = "wrong_kind"
    """The label or the new declaration does not fit the task's kind of target."""
    FUTURE = "future"
    """Captured after Redis received it."""
    DUPLICATE_ID = "duplicate_id"
    """The id belongs to another message."""
    CRASH = "crash"
    """Applying it crashed the process repeatedly."""


class BadMessage(CiaoError):  # noqa: N818  it describes the message
    """A message that will never be accepted, however often it is sent.

    Args:
        reason: The code.
        text: What was expected and what was received; cut to one line of :data:`TEXT_LENGTH` printable characters.
    """

    def __init__(self, reason: Reason, text: str) -> None:
        line = "".join(c if c.isprintable() else "?" for c in text)
        super().__init__(line if len(line) <= TEXT_LENGTH else line[: TEXT_LENGTH - 3] + "...")
        self.reason = reason
