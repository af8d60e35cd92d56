"""What every command does alike: options of the same name mean the same, and errors end the same way."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.cache_folder import user_cache

if TYPE_CHECKING:
    from rich.console import Console

TABLE_WIDTH = 130
"""Columns of a table where the output is no terminal."""

DONE, CHECK_FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
"""Exit codes; a check that found something wrong was itself done well."""


def run_command(body: Callable[[], int | None], resume_hint: Callable[[], str | None]) -> int:
    """Run a command's body and return its exit code.

    A :class:`CiaoError` becomes one line on stderr and code 2; Ctrl-C says how to go on, and becomes code 130.

    Args:
        body: The work; it may return another exit code than 0.
        resume_hint: Returns the command line that goes on after an interruption, None where there is nothing to keep.
    """
    try:
        return body() or DONE
    except CiaoError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        hint = resume_hint()
        print(f"interrupted; go on with: {hint}" if hint else "interrupted", file=sys.stderr)
        return INTERRUPTED


def names(text: str) -> list[str]:
    """Split a comma-separated option.

    >>> names("dl, dl+ciao")
    ['dl', 'dl+ciao']
    """
    return [part.strip() for part in text.split(",") if part.strip()]


def changes(texts: Sequence[str]) -> dict[str, Any]:
    """Read options of the form ``NAME=VALUE``; a value is JSON, or else the text itself.

    Raises:
        CiaoError: One has no ``=``, or a name stands twice.

    >>> changes(["lr=0.01", "head.pool=mean", "head.hidden=[64]"])
    {'lr': 0.01, 'head.pool': 'mean', 'head.hidden': [64]}
    """
    read: dict[str, Any] = {}
    for text in texts:
        name, is_one, value = text.partition("=")
        if not is_one:
            raise CiaoError(f"--set {text}: expected NAME=VALUE, such as lr=0.001 or head.pool=mean")
        if name in read:
            raise CiaoError(f"--set {name}: stands twice")
        try:
            read[name] = json.loads(value)
        except ValueError:
            read[name] = value
    return read


def count(text: str) -> int:
    """Read a whole number >= 1."""
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1 but got {text!r}")
    return number


def default_out(command: str) -> Path:
    """Return a fresh results folder, ``runs/COMMAND-TIME``."""
    return Path("runs") / f"{command}-{time.strftime('%Y%m%d-%H%M%S')}"


def default_cache(out: Path) -> Path:
    """Return the folder of encoded features: :func:`~ciao_stream.runtime.cache_folder.user_cache`, else in ``out``."""
    return user_cache() or out / "cache"


def torch_device(name: str) -> str:
    """Check that torch has a device of this name and return it; ``auto`` is CUDA where there is one.

    Raises:
        CiaoError: There is no such device.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise CiaoError(f"unknown device {name!r}: expected auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise CiaoError("device 'cuda': torch finds no GPU here; use --device cpu")
    return name


def data_root(given: str | None) -> Path | None:
    """Return where the data sets lie: as given, else ``$CIAO_DATA_ROOT``; None for synthetic worlds.

    Raises:
        CiaoError: An empty name is given, as an unset variable of a shell leaves it.
    """
    if given is not None and not given.strip():
        raise CiaoError("--data-root is empty: give the folder that holds the data sets, or leave it out")
    root = given or os.environ.get("CIAO_DATA_ROOT")
    return Path(root) if root else None


def output_console(highlight: bool = True) -> Console:
    """Return the console for results, wide enough for a table where the output is no terminal."""
    from rich.console import Console

    shown = Console(highlight=highlight)
    return shown if shown.is_terminal else Console(width=TABLE_WIDTH, highlight=highlight)


def shell_line(module: str, argv: Sequence[str]) -> str:
    """Return the command line that runs a command of this package with these arguments."""
    import shlex

    return shlex.join(["python", "-m", module, *argv])
