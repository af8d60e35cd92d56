"""Which learner: the option that all commands share that have to do with one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ciao_stream.stream.learner.folder import LearnerFolder


def learner_option(p: argparse.ArgumentParser) -> None:
    """Add ``--worlds``."""
    p.add_argument(
        "--worlds",
        type=Path,
        metavar="DIR",
        help="the learner's folder: its worlds, checkpoints and status (a folder of the stream's name beside --data)",
    )


def folder_of(options: argparse.Namespace) -> LearnerFolder:
    """Return the learner's folder.

    Raises:
        CiaoError: None is given, and there is no home to keep it in.
    """
    from ciao_stream.stream.learner.folder import LearnerFolder
    from ciao_stream.stream.log.keys import StreamNames
    from ciao_stream.stream.log.server import default_data

    if options.worlds is not None:
        return LearnerFolder(options.worlds)
    return LearnerFolder((options.data or default_data()) / "worlds" / StreamNames(options.stream).stream)
