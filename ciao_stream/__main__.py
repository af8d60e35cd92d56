"""``ciao-stream NAME``: the same commands as ``python -m ciao_stream.NAME``."""

from __future__ import annotations

import importlib
import sys

from ciao_stream.runtime.command import BAD_INPUT, DONE

COMMANDS = {
    "benchmark": "learn tasks one after another with several strategies, and compare them",
    "tune": "search for the best decision layer, mask and training of each task",
    "stream": "learn online from frames held in Redis",
    "explain": "show where the worlds of a finished run look, and what their masks do",
    "report": "write the page of a finished run anew",
    "pretrain": "train an encoder",
    "data": "check the data sets under a folder; fetch the weights of encoders",
}


def main() -> int:
    """Run the command that the first argument names."""
    name, *rest = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print("usage: ciao-stream COMMAND [options]\n")
        print("\n".join(f"  {command:12}{what}" for command, what in COMMANDS.items()))
        return DONE
    if name not in COMMANDS:
        from ciao_stream.exceptions import UnknownNameError

        print(f"error: {UnknownNameError('command', name, COMMANDS)}", file=sys.stderr)
        return BAD_INPUT
    return importlib.import_module(f"ciao_stream.{name}.__main__").main(rest)  # type: ignore[no-any-return]


if __name__ == "__main__":
    sys.exit(main())
