"""``python -m ciao_stream.data weights``: list third-party weights, or fetch some."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.command import run_command, shell_line
from ciao_stream.runtime.options import Parser

if TYPE_CHECKING:
    from ciao_stream.encoders.weights.manifest import Entry

MODULE = "ciao_stream.data"


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> argparse.ArgumentParser:
    """Add the options of ``weights`` and return its parser."""
    p = subparsers.add_parser(
        "weights",
        help="list third-party weights, or fetch some",
        description="List third-party weights, or fetch some. Nothing is downloaded unless you name it here.",
        epilog="Files are kept in $CIAO_WEIGHTS, else in the folder `weights` of your cache. "
        "CIAO_OFFLINE=1 means the same as --offline.",
    )
    p.add_argument("name", nargs="?", metavar="NAME", help="Weights to fetch (default: list all)")
    p.add_argument(
        "--to", type=Path, metavar="DIR", help="Folder to keep them in; other commands need CIAO_WEIGHTS=DIR"
    )
    p.add_argument("--file", type=Path, metavar="FILE", help="Copy this file instead of downloading")
    p.add_argument("--offline", action="store_true", help="Never use the network; report what is missing")
    return p


def main(options: argparse.Namespace) -> int:
    """Run the command with parsed options and return its exit code."""
    to = ["--to", str(options.to)] if options.to else []
    again = shell_line(MODULE, ["weights", options.name, *to]) if options.name and not options.file else None
    return run_command(lambda: _run(options), lambda: again)


def _run(options: argparse.Namespace) -> None:
    from ciao_stream.encoders.weights.manifest import entry
    from ciao_stream.encoders.weights.store import weights_folder

    if options.name is None and options.file is not None:
        raise CiaoError("--file needs the NAME of its weights: weights NAME --file FILE")
    one = entry(options.name) if options.name is not None else None
    folder = options.to or weights_folder()
    if one is None:
        _list(folder)
    else:
        _get(one, folder, options)


def _list(folder: Path) -> None:
    from ciao_stream.encoders.weights.encoder import refusal
    from ciao_stream.encoders.weights.manifest import ENTRIES
    from ciao_stream.encoders.weights.store import file_of, is_here

    for one in ENTRIES:
        size = f"{one.megabytes:,} MB" if one.megabytes is not None else "unknown"
        wrong = "changed" if file_of(one, folder).exists() else "not here"
        print(f"{one.name:<17} {size:>8}  {'here' if is_here(one, folder) else wrong:<12} {one.network}")
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
            f"offline, and {file_of(one, folder)} is missing: {how_to_get(one, options.to)} when online, or get "
            f"{one.url or one.page} in another way and pass the file with --file FILE"
        )
    print(f"{one.name}: {one.network}, from {one.page}")
    print(f"licence: {one.licence}")
    print(f"trained on: {one.trained_on}")
    print(f"note: {one.note or 'none'}", flush=True)
    from ciao_stream.encoders.weights.fetch import fetch
    from ciao_stream.runtime.console import ConsoleProgress

    logging.basicConfig(format="%(message)s")  # further attempts are logged
    path = fetch(one, folder, options.file, ConsoleProgress())
    print(f"{one.name} is here: {path}")
    if options.to:
        print(f"use it in other commands with CIAO_WEIGHTS={folder}")
