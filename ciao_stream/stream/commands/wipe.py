"""``wipe``: delete the personal data of a stream, and keep what was learned."""

from __future__ import annotations

import argparse

from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.commands._options import check_encoder_name, folder_of, learner_option, server_of

SUMMARY = "delete the personal data of a stream (faces, features, names) and keep what was learned"


def add_options(p: argparse.ArgumentParser) -> None:
    """Add the options."""
    learner_option(p)
    p.add_argument("--encoder", default="ciao-face", metavar="NAME", help="Encoder of the learner (default: ciao-face)")
    p.add_argument("--yes", action="store_true", help="Confirm; a wipe cannot be undone")


def run(options: argparse.Namespace) -> None:
    """Wipe the stream and the learner's memory of single faces. The learner must not be running."""
    from ciao_stream.stream.learner.checkpoint import Checkpoints
    from ciao_stream.stream.learner.wipe import wipe_checkpoints, wipe_stream
    from ciao_stream.stream.log.keys import StreamNames

    check_encoder_name(options.encoder)
    folder, names = folder_of(options), StreamNames(options.stream)
    if options.worlds is not None and not options.worlds.is_dir():
        raise CiaoError(f"no learner has worked in {options.worlds}: omit --worlds, or correct it")
    kept = Checkpoints(folder.checkpoints).kept()
    if not options.yes:
        raise CiaoError(
            f"this deletes all messages and dead letters of stream {names.stream!r}, learned or not, and all faces in "
            f"the {len(kept)} checkpoints in {folder.path}: confirm with --yes"
        )

    from ciao_stream.encoders import load_encoder

    with folder.claimed(), server_of(options) as address:
        dropped = wipe_checkpoints(folder, load_encoder(options.encoder)) if kept else 0
        wiped = wipe_stream(address(), names)
    text = (
        f"wiped {wiped.entries:,} messages, {wiped.dead_letters:,} dead letters, {wiped.remembered:,} message ids "
        f"and {dropped} checkpoints"
    )
    if not wiped.rewritten:
        text += "; the server's files on disk still contain them: run BGREWRITEAOF and BGSAVE on the server"
    print(text)
