"""What was undone: a learner passes over frames and labels in these ranges, whatever checkpoint it goes on from."""

from __future__ import annotations

import json
from pathlib import Path

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.atomic import write_text
from ciao_stream.stream.log.keys import order

Range = tuple[str, str]
"""First and last position, both included."""


class Undone:
    """The ranges.

    Args:
        ranges: The ranges.
    """

    def __init__(self, ranges: tuple[Range, ...] = ()) -> None:
        self.ranges = ranges
        self._orders = [(order(first), order(last)) for first, last in ranges]

    def __contains__(self, position: str) -> bool:
        return any(first <= order(position) <= last for first, last in self._orders)

    @classmethod
    def read(cls, path: Path) -> Undone:
        """Read a file that :meth:`write` wrote; where there is none, nothing was undone.

        Raises:
            CiaoError: The file holds something else.
        """
        try:
            return cls(tuple((str(first), str(last)) for first, last in json.loads(path.read_text())))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, TypeError) as error:
            raise CiaoError(f"{path} is damaged: what was undone is not known; restore it, or remove it") from error

    def with_more(self, ranges: tuple[Range, ...], oldest: str) -> Undone:
        """Return these and further ranges, without those that no checkpoint can come to any more.

        Args:
            ranges: The further ones.
            oldest: Position of the oldest checkpoint that is kept.
        """
        return Undone(tuple(r for r in (*self.ranges, *ranges) if order(r[1]) > order(oldest)))

    def write(self, path: Path) -> None:
        """Write the ranges down.

        Raises:
            CiaoError: The file cannot be written.
        """
        write_text(path, json.dumps(self.ranges))
