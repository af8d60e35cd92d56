"""The command line of a benchmark, read again from its results."""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Sequence

from ciao_stream.benchmark.__main__ import parser
from ciao_stream.exceptions import CiaoError


def options_of(command: Sequence[str]) -> argparse.Namespace:
    """Return the options of a benchmark's recorded command.

    Args:
        command: As in ``results.json``, program name first.

    Raises:
        CiaoError: It is no command that the benchmark of this version takes.
    """
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return parser().parse_args(list(command[1:]))
    except SystemExit as error:
        raise CiaoError(f"its command is none that this version reads: {' '.join(command)}") from error
