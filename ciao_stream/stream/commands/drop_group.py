"""``drop-group``: remove an abandoned group of predictors, so that the stream no longer waits for it."""

from __future__ import annotations

import argparse

from ciao_stream.stream.commands._options import server_of

SUMMARY = "remove an abandoned group of predictors, so that the stream no longer waits for it"


def add_options(p: argparse.ArgumentParser) -> None:
    """Add the options."""
    p.add_argument("group", metavar="NAME", help="Name of the group; `status` lists all")


def run(options: argparse.Namespace) -> None:
    """Remove the group."""
    from ciao_stream.stream.log.feed import drop_group
    from ciao_stream.stream.log.keys import StreamNames

    with server_of(options) as address:
        dropped = drop_group(address(), StreamNames(options.stream), options.group)
    behind = "its remaining" if dropped.behind is None else f"{dropped.behind:,}"
    print(f"dropped group {dropped.name!r}: {behind} entries stay unprocessed by it")
