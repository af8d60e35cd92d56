"""``undo``: return the learner to a checkpoint, or remove what it learned from a frame."""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import TYPE_CHECKING

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.command import output_console
from ciao_stream.stream.commands._options import folder_of, learner_option, server_of

if TYPE_CHECKING:
    from ciao_stream.stream.learner.checkpoint import Kept

SUMMARY = "return the learner to a checkpoint, or remove what it learned from a frame"


def add_options(p: argparse.ArgumentParser) -> None:
    """Add the options."""
    learner_option(p)
    what = p.add_mutually_exclusive_group(required=True)
    what.add_argument("--list", action="store_true", help="List the checkpoints to return to")
    what.add_argument("--to", type=int, metavar="N", help="Forget everything learned after checkpoint N")
    what.add_argument("--frame", metavar="ID", help="Forget this frame and its labels, and keep all others")
    p.add_argument("--task", metavar="NAME", help="Task of the frame, if several tasks have a frame with this id")


def run(options: argparse.Namespace) -> None:
    """Undo. The learner must not be running; it does the work when it is started again."""
    from ciao_stream.stream.learner.undo import checkpoints_of, undo_frame, undo_to
    from ciao_stream.stream.log.keys import StreamNames
    from ciao_stream.stream.log.log import History

    if options.task is not None and options.frame is None:
        raise CiaoError("--task needs --frame: a checkpoint returns the worlds of all tasks")
    folder = folder_of(options)
    kept = checkpoints_of(folder)
    if options.list:
        _list(kept)
        return
    with folder.claimed():
        if options.to is not None:
            undone = undo_to(folder, options.to)
        else:
            with server_of(options) as address, closing(History(address(), StreamNames(options.stream))) as history:
                undone = undo_frame(folder, history, options.frame, options.task)
    what = "later entries are" if undone.entries is None else f"{undone.entries} entries about the frame are"
    back = undone.checkpoint
    print(f"back at checkpoint {back.number} ({back.position}): {what} skipped when `learn` is started again")


def _list(checkpoints: list[Kept]) -> None:
    import time

    from rich.table import Table

    from ciao_stream.stream.log.keys import START, appended_at

    table = Table("checkpoint", "position", "last entry received")
    for kept in checkpoints:
        came = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(appended_at(kept.position)))
        table.add_row(str(kept.number), kept.position, "at the start" if kept.position == START else came)
    output_console(highlight=False).print(table)
