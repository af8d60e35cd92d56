"""The keys that one stream has in Redis."""

from __future__ import annotations

from dataclasses import dataclass

from ciao_stream.exceptions import CiaoError


@dataclass(frozen=True)
class StreamNames:
    """What belongs to one stream.

    Args:
        stream: Key of the stream: letters, digits, and any of ``._:-``, so that it is no pattern to Redis.
        group: The learner's consumer group, a cursor that others may look at.

    Raises:
        CiaoError: A name has other characters.

    >>> StreamNames("camera1").dead
    'camera1:dead'
    """

    stream: str = "frames"
    group: str = "learner"

    def __post_init__(self) -> None:
        for name in (self.stream, self.group):
            if not name or not name.isascii() or not all(c.isalnum() or c in "._:-" for c in name):
                raise CiaoError(f"stream or group {name!r}: expected letters, digits and ._:- alone")

    @property
    def dead(self) -> str:
        """Key of the stream of dead letters."""
        return f"{self.stream}:dead"

    @property
    def results(self) -> str:
        """Key of the stream of predictors' answers."""
        return f"{self.stream}:results"

    def seen(self, message_id: str) -> str:
        """Key that remembers a message, so that it is appended once."""
        return f"{self.stream}:seen:{message_id}"
