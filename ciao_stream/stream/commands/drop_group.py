"""``drop-group``: remove a group of predictors that is gone, so that the stream no longer waits for it."""

from __future__ import annotations

import argparse

from ciao_stream.runtime.command import output_console
from ciao_stream.stream.commands._options import server_of

SUMMARY = "remove a group of predictors that is gone: the stream no longer waits for it"


def add_options(p: argparse.ArgumentParser) -> None:
    """Describe the options."""
    p.add_argument("group", metavar="NAME", help="the group; `status` shows all")


def run(options: argparse.Namespace) -> None:
    """Remove the group.

    Raises:
        CiaoError: There is no such group, somebody reads for it, or the server cannot be had.
    """
    from ciao_stream.stream.log.feed import drop_group
    from ciao_stream.stream.log.keys import StreamNames

    with server_of(options) as address:
        dropped = drop_group(address(), StreamNames(options.stream), options.group)
    behind = "what it" if dropped.behind is None else f"{dropped.behind:,} entries that it"
    said = f"dropped group {dropped.name!r}: {behind} had not answered will not be answered"
    output_console(highlight=False).print(said, markup=False, soft_wrap=True)
