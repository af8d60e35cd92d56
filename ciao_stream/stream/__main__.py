"""``python -m ciao_stream.stream``: worlds that learn online from frames in Redis."""

from __future__ import annotations

import argparse
import sys

from ciao_stream.runtime.command import run_command
from ciao_stream.runtime.options import Parser
from ciao_stream.runtime.plugins import load_plugin, plugin_names
from ciao_stream.stream import commands
from ciao_stream.stream.commands._options import server_options

MODULE = "ciao_stream.stream"


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands: see :mod:`ciao_stream.stream.commands`."""
    p = Parser(prog=f"python -m {MODULE}", description="Worlds that learn online from labelled frames in Redis.")
    added = p.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in plugin_names(commands.__name__):
        command = load_plugin(commands.__name__, name, "command")
        shared = server_options(many=getattr(command, "MANY_STREAMS", False))
        one = added.add_parser(
            name,
            help=command.SUMMARY,
            description=f"{command.SUMMARY[0].upper()}{command.SUMMARY[1:]}.",
            parents=[shared],
        )
        command.add_options(one)
        one.set_defaults(run=command.run, resumes=False)
    return p


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = parser().parse_args(argv)
    return run_command(lambda: options.run(options), lambda: "the same command line" if options.resumes else None)


if __name__ == "__main__":
    sys.exit(main())
