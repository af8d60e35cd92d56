"""What all commands share: exit codes, one-line errors, common options, consoles."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ciao_stream.exceptions import CiaoError

if TYPE_CHECKING:
    from rich.console import Console

TABLE_WIDTH = 130
"""Width of a table, in columns, when the output is not a terminal."""

DONE, CHECK_FAILED, UNREAD, BAD_INPUT, INTERRUPTED = 0, 1, 1, 2, 130
"""Exit codes. ``CHECK_FAILED``: the check ran, and found something wrong. ``UNREAD``: the reader of the output closed
it, as ``head`` does."""


def run_command(body: Callable[[], int | None], resume_hint: Callable[[], str | None]) -> int:
    """Run a command's body and return its exit code.

    A :class:`CiaoError` becomes one line on stderr and code 2; Ctrl-C prints how to resume, and becomes code 130. The
    command ends quietly if the reader of its output closes it.

    Args:
        body: The work; it may return an exit code other than 0.
        resume_hint: Returns the command line that resumes after an interruption, None if nothing was kept.
    """
    try:
        code = body() or DONE
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD
    except CiaoError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        hint = resume_hint()
        print(f"interrupted; resume with: {hint}" if hint else "interrupted", file=sys.stderr)
        return INTERRUPTED


def changes(texts: Sequence[str]) -> dict[str, Any]:
    """Read options of the form ``NAME=VALUE``; a value is read as JSON, or as text if it is not JSON.

    Raises:
        CiaoError: One has no ``=``, or a name is given twice.

    >>> changes(["lr=0.01", "head.pool=mean", "head.hidden=[64]"])
    {'lr': 0.01, 'head.pool': 'mean', 'head.hidden': [64]}
    """
    read: dict[str, Any] = {}
    for text in texts:
        name, is_one, value = text.partition("=")
        if not is_one:
            raise CiaoError(f"--set {text}: expected NAME=VALUE, such as lr=0.001 or head.pool=mean")
        if name in read:
            raise CiaoError(f"--set {name}: given twice")
        try:
            read[name] = json.loads(value)
        except ValueError:
            read[name] = value
    return read


def output_console(highlight: bool = True) -> Console:
    """Return the console for results, wide enough for a table if the output is not a terminal."""
    from rich.console import Console

    shown = Console(highlight=highlight)
    return shown if shown.is_terminal else Console(width=TABLE_WIDTH, highlight=highlight)


def shell_line(module: str, argv: Sequence[str]) -> str:
    """Return the command line that runs a command of this package with these arguments."""
    import shlex

    return shlex.join(["python", "-m", module, *argv])
