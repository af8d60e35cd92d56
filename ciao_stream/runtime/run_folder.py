"""A run's claim on its results folder: what decides its numbers, written down before any work begins."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ciao_stream.exceptions import CiaoError, DataError
from ciao_stream.runtime.atomic import write_text

CLAIM = "run.json"
"""Name of the file; a folder that has it holds a run that ``--resume`` can go on with."""


def begun(out: Path) -> bool:
    """Whether a folder holds a run that can be gone on with."""
    return any(out.glob(CLAIM))


def part_begun(out: Path) -> bool:
    """Whether a folder in it does, as where a suite's runs have folders of their own."""
    return any(out.glob(f"*/{CLAIM}"))


def claim(out: Path, identity: Mapping[str, Any], resume: bool) -> None:
    """Write down what decides the numbers of this run, or check that the run to go on with is the same.

    Args:
        out: The results folder.
        identity: JSON values, by name.
        resume: Whether there is a run to go on with.

    Raises:
        CiaoError: There is none, there is one already, or it was started with something else.
    """
    path = out / CLAIM
    try:
        text = path.read_text()
    except (FileNotFoundError, NotADirectoryError) as error:
        if resume:
            hint = f"there is no {CLAIM}; leave out --resume to start"
            raise CiaoError(f"nothing to resume in {out}: {hint}") from error
        write_text(path, json.dumps(identity, indent=1))
        return
    except (OSError, ValueError) as error:
        raise CiaoError(f"cannot read {path}: {error}; choose another --out") from error
    if not resume:
        raise CiaoError(f"{out} holds a run already: add --resume to go on with it, or choose another --out")
    try:
        before: dict[str, Any] = dict(json.loads(text))
    except (TypeError, ValueError) as error:
        raise CiaoError(f"{path} is damaged: choose another --out") from error
    if changed := [key for key, value in identity.items() if before.get(key) != value]:
        raise CiaoError(
            f"the run in {out} was started with other {', '.join(changed)}: "
            "give the same options, or choose another --out"
        )


def require_part(out: Path, resume: bool) -> None:
    """Check that a suite whose runs have folders of their own has begun, where it is to be gone on with.

    Args:
        out: The suite's folder.
        resume: Whether there is a suite to go on with.

    Raises:
        CiaoError: There is none.
    """
    if resume and not part_begun(out):
        raise CiaoError(f"nothing to resume in {out}: there is no */{CLAIM}; leave out --resume to start")


@contextmanager
def given_up_on_bad_data(out: Path, resume: bool) -> Iterator[None]:
    """Take a fresh claim back where the body meets bad data: the same command can start anew when it is mended."""
    try:
        yield
    except DataError:
        if not resume:
            (out / CLAIM).unlink()
        raise
