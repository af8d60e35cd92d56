"""``dead``: list the refused messages, or send again those that would be accepted now."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from ciao_stream.runtime.command import output_console
from ciao_stream.stream.commands._options import folder_of, learner_option, server_of

if TYPE_CHECKING:
    from ciao_stream.stream.log.connection import RedisAddress
    from ciao_stream.stream.log.keys import StreamNames

SUMMARY = "list the refused messages, or send again those that would be accepted now"


def add_options(p: argparse.ArgumentParser) -> None:
    """Add the options."""
    learner_option(p)
    p.add_argument("--json", action="store_true", help="Print one JSON object per refused message, without its content")
    p.add_argument(
        "--replay", action="store_true", help="Send those that would be accepted now again, at the end of the stream"
    )


def run(options: argparse.Namespace) -> None:
    """List or send the dead letters."""
    from ciao_stream.faces.task import TaskSpec
    from ciao_stream.stream.learner.status import read_status
    from ciao_stream.stream.log.dead import resend
    from ciao_stream.stream.log.keys import StreamNames

    names = StreamNames(options.stream)
    known = read_status(folder_of(options).status)["tasks"] if options.replay else []
    with server_of(options) as address:
        if not options.replay:
            _list(options, names, address())
            return
        tasks = {task["name"]: TaskSpec.from_json(task) for task in known}
        resent = resend(address(), names, tasks)
    left = ", ".join(f"{reason} {n}" for reason, n in resent.left.most_common())
    print(f"sent {resent.sent:,} again" + (f"; left {resent.left.total():,}: {left}" if left else ""))


def _list(options: argparse.Namespace, names: StreamNames, address: RedisAddress) -> None:
    from rich.table import Table
    from rich.text import Text

    from ciao_stream.stream.log.dead import dead_letters

    table = Table("position", "reason", "bytes", "whole", "what was wrong")
    for letter in dead_letters(address, names):
        if options.json:
            about = {name: getattr(letter, name) for name in ("position", "reason", "message", "n_bytes", "sha256")}
            print(json.dumps({**about, "whole": letter.whole}))
        else:
            whole = "yes" if letter.whole else "no"
            table.add_row(letter.position, letter.reason, f"{letter.n_bytes:,}", whole, Text(letter.message))
    if not options.json:
        output_console(highlight=False).print(table if table.row_count else "no dead letters")
