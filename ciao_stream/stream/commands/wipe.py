"""``wipe``: delete the personal data of a stream; what was learned stays."""

from __future__ import annotations

import argparse

from ciao_stream.runtime.command import output_console
from ciao_stream.stream.commands._options import folder_of, learner_option, server_of

SUMMARY = "delete the personal data of a stream: faces, their features and their names; what was learned stays"


def add_options(p: argparse.ArgumentParser) -> None:
    """Describe the options."""
    learner_option(p)
    p.add_argument("--encoder", default="ciao-face", metavar="E", help="what the learner stands on (%(default)s)")
    p.add_argument("--yes", action="store_true", help="really do it: nothing of it can be undone")


def run(options: argparse.Namespace) -> None:
    """Wipe the stream and the learner's memory of single faces. The learner must not run.

    Raises:
        CiaoError: It was not said with ``--yes``, a learner runs, or the server cannot be had.
    """
    from ciao_stream.encoders import load_encoder
    from ciao_stream.exceptions import CiaoError
    from ciao_stream.stream.learner.checkpoint import Checkpoints
    from ciao_stream.stream.learner.wipe import wipe_checkpoints, wipe_stream
    from ciao_stream.stream.log.keys import StreamNames

    folder, names = folder_of(options), StreamNames(options.stream)
    kept = Checkpoints(folder.checkpoints).kept()
    if not options.yes:
        raise CiaoError(
            f"this deletes all messages and dead letters of stream {names.stream!r}, also those that were not learned "
            f"from yet, and all faces in the {len(kept)} checkpoints in {folder.path}: say --yes"
        )
    with folder.claimed(), server_of(options) as address:
        dropped = wipe_checkpoints(folder, load_encoder(options.encoder)) if kept else 0
        wiped = wipe_stream(address(), names)
    said = (
        f"wiped {wiped.entries:,} messages, {wiped.dead_letters:,} dead letters, {wiped.remembered:,} message ids "
        f"and {dropped} checkpoints"
    )
    if not wiped.rewritten:
        said += "; the server's files on disk still have them until rewritten: run BGREWRITEAOF and BGSAVE there"
    output_console(highlight=False).print(said, markup=False, soft_wrap=True)
