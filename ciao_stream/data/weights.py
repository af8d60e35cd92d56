"""``python -m ciao_stream.data weights``: list the weights of others, and fetch them on purpose."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.command import run_command, shell_line

if TYPE_CHECKING:
    from rich.console import Console

    from ciao_stream.encoders.weights.fetch import Say, Watch
    from ciao_stream.encoders.weights.manifest import Entry

MODULE = "ciao_stream.data"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the options of ``weights`` and return its parser."""
    p = subparsers.add_parser(
        "weights",
        help="list weights that others trained, or fetch some",
        description="List weights that others trained, or fetch some. Nothing is fetched unless it is named here.",
        epilog="Files are kept in $CIAO_WEIGHTS, else in the folder weights of the user's cache. "
        "CIAO_OFFLINE=1 is the same as --offline.",
    )
    p.add_argument("name", nargs="?", metavar="NAME", help="what to fetch (without it: list all)")
    p.add_argument("--to", type=Path, metavar="DIR", help="keep files here; tell commands with CIAO_WEIGHTS=DIR")
    p.add_argument("--file", type=Path, metavar="PATH", help="take this file, which you have, instead of downloading")
    p.add_argument("--offline", action="store_true", help="never touch the network; say what is missing")
    return p


def main(options: argparse.Namespace) -> int:
    """Run the command with parsed options and return its exit code."""

    def hint() -> str | None:
        return shell_line(MODULE, _again(options)) if options.name else None

    return run_command(lambda: _run(options), hint)


def _again(options: argparse.Namespace) -> list[str]:
    to = ["--to", str(options.to)] if options.to else []
    file = ["--file", str(options.file)] if options.file else []
    return ["weights", options.name, *to, *file]


def _run(options: argparse.Namespace) -> None:
    from ciao_stream.encoders.weights.manifest import entry
    from ciao_stream.encoders.weights.store import weights_folder

    if options.name is None and options.file is not None:
        raise CiaoError("--file needs the NAME of the weights that it holds: weights NAME --file PATH")
    one = entry(options.name) if options.name is not None else None
    folder = options.to or weights_folder()
    if one is None:
        _list(folder)
    else:
        _get(one, folder, options)


def _list(folder: Path) -> None:
    from ciao_stream.encoders.weights.encoder import refusal
    from ciao_stream.encoders.weights.manifest import ENTRIES

    for one in ENTRIES:
        print(f"{one.name:<17} {_size(one):>8}  {_state(one, folder):<12} {one.network}")
        print(f"    licence     {one.licence}")
        print(f"    trained on  {one.trained_on}")
        why = refusal(one)
        print(f"    --encoder   {f'none: {why}' if why else f'weights:{one.name}'}")
    print(f"kept in {folder}; fetch with: {shell_line(MODULE, ['weights', 'NAME'])}")


def _get(one: Entry, folder: Path, options: argparse.Namespace) -> None:
    from ciao_stream.encoders.weights.store import file_of, how_to_get, is_here

    if options.file is None and is_here(one, folder):
        print(f"{one.name} is here: {file_of(one, folder)}")
        return
    if options.file is None and (options.offline or os.environ.get("CIAO_OFFLINE", "0") not in ("", "0")):
        raise CiaoError(
            f"offline, and {file_of(one, folder)} is missing: where there is a network, {how_to_get(one, options.to)}; "
            f"or get {one.url or one.page} in another way and give the file with --file PATH"
        )
    print(f"{one.name}: {one.network}, from {one.page}")
    print(f"licence: {one.licence}")
    print(f"trained on: {one.trained_on}")
    print(f"note: {one.note or 'none'}", flush=True)
    path = _bring(one, folder, options.file)
    print(f"{one.name} is here: {path}")
    if options.to:
        print(f"commands find it with CIAO_WEIGHTS={folder}")


def _bring(one: Entry, folder: Path, given: Path | None) -> Path:
    from rich.console import Console

    from ciao_stream.encoders.weights.fetch import fetch, take

    with _shown(one.name, Console(stderr=True, highlight=False)) as (watch, say):
        if given is not None:
            return take(one, folder, given, watch=watch, say=say)
        return fetch(one, folder, watch=watch, say=say)


@contextlib.contextmanager
def _shown(name: str, console: Console) -> Iterator[tuple[Watch, Say]]:
    """Show a progress bar once there is progress, and lines above it."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    progress = Progress(*columns, TimeRemainingColumn(), console=console)

    def watch(done: int, total: int | None) -> None:
        if not progress.tasks:
            progress.add_task(name)
            progress.start()
        progress.update(progress.task_ids[0], completed=done, total=total)

    try:
        yield watch, lambda line: console.print(line, markup=False, soft_wrap=True)
    finally:
        if progress.tasks:
            progress.stop()


def _size(one: Entry) -> str:
    if one.size is not None:
        return f"{one.size / 1e6:,.0f} MB"
    return f"~{one.about_mb:,} MB" if one.about_mb is not None else "unknown"


def _state(one: Entry, folder: Path) -> str:
    from ciao_stream.encoders.weights.store import file_of, is_here

    path = file_of(one, folder)
    part = path.with_name(f"{path.name}.part")
    if is_here(one, folder):
        return "here"
    if path.exists():
        return "changed"
    return f"{part.stat().st_size / 1e6:,.1f} MB of it" if part.exists() else "not here"
