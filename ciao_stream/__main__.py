"""``ciao-stream NAME`` or ``python -m ciao_stream NAME``: the same commands as ``python -m ciao_stream.NAME``."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import ciao_stream
from ciao_stream.exceptions import UnknownNameError
from ciao_stream.runtime.command import BAD_INPUT, DONE

COMMANDS = {
    "benchmark": "train several strategies on a sequence of tasks and compare them",
    "tune": "search for the best head, mask and training settings of each task",
    "stream": "learn online from frames held in Redis",
    "explain": "show where the worlds of a finished run look and what their masks do",
    "report": "rewrite the HTML page of a finished run",
    "pretrain": "train an encoder",
    "data": "check the data sets in a folder, or download the weights of encoders",
}

EXAMPLE = "benchmark --tasks fer,jaffe --strategies dl,dl+ciao"


def main() -> int:
    """Run the command that the first argument names."""
    script = Path(sys.argv[0]).stem == "ciao-stream"
    if script:
        os.environ.setdefault("PYTHONSAFEPATH", "1")  # commands that it starts look past the current folder, too
    name, *rest = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help", "help"):
        called = "ciao-stream" if script else "python -m ciao_stream"
        print(f"usage: {called} COMMAND [options]\n\n{ciao_stream.__doc__.splitlines()[0]}\n\ncommands:")
        print("\n".join(f"  {command:12}{what}" for command, what in COMMANDS.items()))
        print(f"\nexample: {called} {EXAMPLE}\n`{called} COMMAND --help` lists a command's options.")
        return DONE
    if name == "--version":
        print(f"ciao-stream {ciao_stream.__version__}")
        return DONE
    if name not in COMMANDS:
        print(f"error: {UnknownNameError('command', name, COMMANDS)}", file=sys.stderr)
        return BAD_INPUT
    return importlib.import_module(f"ciao_stream.{name}.__main__").main(rest)  # type: ignore[no-any-return]


if __name__ == "__main__":
    sys.exit(main())
