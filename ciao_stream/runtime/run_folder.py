"""A run's claim on its results folder: what determines its numbers, written before any work begins."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ciao_stream.exceptions import CiaoError, DataError
from ciao_stream.runtime.atomic import write_text
from ciao_stream.runtime.retired import removed, without_retired

CLAIM = "run.json"
"""Name of the file; ``--resume`` can resume the run in a folder that has it."""


def begun(out: Path) -> bool:
    """Whether a folder holds a run that can be resumed, or a suite whose runs have folders of their own in it."""
    return bool(_claims(out))


def claim(out: Path, identity: Mapping[str, Any], plan: Mapping[str, Any], resume: bool) -> None:
    """Record what determines the numbers of this run, or check that the run to resume is the same.

    Args:
        out: The results folder.
        identity: JSON values, by name.
        plan: The options of the command as JSON, to resume with. They may change between two parts of a run.
        resume: Whether to resume a run.

    Raises:
        CiaoError: There is no run to resume, there is one already, or it has another identity.
    """
    path = out / CLAIM
    try:
        before = _read(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        if resume:
            raise _nothing(out) from error
        write_text(path, json.dumps({**identity, "plan": plan}, indent=1))
        return
    if not resume:
        raise CiaoError(f"{out} already holds a run: add --resume to resume it, or choose another --out")
    if changed := [key for key, value in identity.items() if before.get(key) != value]:
        raise CiaoError(
            f"the run in {out} differs in {', '.join(changed)}: resume it with the options and environment that it "
            "was started with, or choose another --out"
        )
    if before.get("plan") != plan:
        write_text(path, json.dumps({**before, "plan": plan}, indent=1))


def recorded_plan(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options that the run to resume, or the suite in its folder, recorded.

    Args:
        options: With ``resume``, ``out`` and ``tasks``, as read.

    Returns:
        The options as JSON; nothing without ``--resume``, with ``--tasks`` (the command is then complete by itself), or
        if an older version wrote the folder.

    Raises:
        CiaoError: There is no run to resume, or its record is damaged or missing.
    """
    if not options.resume:
        return {}
    if options.out is None:
        raise CiaoError("--resume needs --out DIR: the folder of the run to resume")
    if not (claims := _claims(options.out)):
        raise _nothing(options.out)
    newest = max(claims, key=lambda path: path.stat().st_mtime_ns)
    plan = _read(newest).get("plan", {})
    if not isinstance(plan, dict):
        raise _damaged(newest)
    if not plan and options.tasks is None:
        raise CiaoError(f"the run in {options.out} recorded no options (an older version wrote it): repeat all of them")
    return {} if options.tasks is not None else plan


@contextmanager
def released_on_bad_data(out: Path, resume: bool) -> Iterator[None]:
    """Release a new claim if the body finds bad data, so that the same command can be run again."""
    try:
        yield
    except DataError:
        if not resume:
            (out / CLAIM).unlink()
        raise


def _claims(out: Path) -> list[Path]:
    return [*out.glob(CLAIM)] or [*out.glob(f"*/{CLAIM}")]


def _read(path: Path) -> dict[str, Any]:
    """Read a claim; let FileNotFoundError and NotADirectoryError through where there is none."""
    try:
        content = json.loads(path.read_text(), object_hook=_without_retired)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise CiaoError(f"cannot read {path}: {error}; choose another --out") from error
    except CiaoError as error:
        raise CiaoError(f"{path}: {error}; choose another --out") from error
    except ValueError as error:
        raise _damaged(path) from error
    if not isinstance(content, dict):
        raise _damaged(path)
    return content


def _without_retired(data: dict[str, Any]) -> Any:
    if told := removed(data):
        raise CiaoError(told)
    return without_retired(data)


def _damaged(path: Path) -> CiaoError:
    return CiaoError(f"{path} is damaged: choose another --out")


def _nothing(out: Path) -> CiaoError:
    return CiaoError(f"nothing to resume in {out}: it has no {CLAIM}; omit --resume to start a run")
