"""``undo``: have the learner go back to a checkpoint, or go on as if a frame had never come."""

from __future__ import annotations

import argparse

from ciao_stream.runtime.command import output_console
from ciao_stream.stream.commands._options import folder_of, learner_option, server_of

SUMMARY = "have the learner go back to a checkpoint, or go on as if a frame had never come"


def add_options(p: argparse.ArgumentParser) -> None:
    """Describe the options."""
    learner_option(p)
    what = p.add_mutually_exclusive_group(required=True)
    what.add_argument("--list", action="store_true", help="show the checkpoints that it can go back to")
    what.add_argument("--to", type=int, metavar="N", help="forget all that was learned after checkpoint N")
    what.add_argument("--frame", metavar="ID", help="take back this frame and its labels; all others are kept")
    p.add_argument("--task", metavar="T", help="the frame's task, if several have a frame of this name")


def run(options: argparse.Namespace) -> None:
    """Undo. The learner must not run; it does the work when it is started again.

    Raises:
        CiaoError: A learner runs, there is no such checkpoint or frame, the stream no longer holds what is needed, or
            a task is named where all go back.
    """
    from ciao_stream.exceptions import CiaoError
    from ciao_stream.stream.learner.undo import undo_frame, undo_to
    from ciao_stream.stream.log.keys import StreamNames
    from ciao_stream.stream.log.log import History

    if options.task is not None and options.frame is None:
        raise CiaoError("--task goes with --frame: at a checkpoint the worlds of all tasks go back")
    folder = folder_of(options)
    if options.list:
        _list(options)
        return
    with folder.claimed():
        if options.to is not None:
            undone = undo_to(folder, options.to)
        else:
            with server_of(options) as address:
                history = History(address(), StreamNames(options.stream))
                try:
                    undone = undo_frame(folder, history, options.frame, options.task)
                finally:
                    history.close()
    what = "what came after it is" if undone.entries is None else f"{undone.entries} messages about the frame are"
    said = f"back at checkpoint {undone.checkpoint.number} ({undone.checkpoint.position}): {what} passed over"
    output_console(highlight=False).print(f"{said} when `learn` is started again", markup=False, soft_wrap=True)


def _list(options: argparse.Namespace) -> None:
    import time

    from rich.table import Table

    from ciao_stream.stream.learner.undo import checkpoints_of
    from ciao_stream.stream.log.keys import START, appended_at

    table = Table("checkpoint", "position", "last entry came")
    for kept in checkpoints_of(folder_of(options)):
        came = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(appended_at(kept.position)))
        table.add_row(str(kept.number), kept.position, "at the start" if kept.position == START else came)
    output_console(highlight=False).print(table)
