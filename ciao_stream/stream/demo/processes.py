"""Commands of ``ciao_stream.stream`` in processes of their own, which end with the block that started them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ciao_stream.exceptions import CiaoError

MODULE = "ciao_stream.stream"

END_S = 20.0
"""Seconds that a command has to end after SIGTERM, before it is killed."""

ONE_CORE = {"OMP_NUM_THREADS": "1"}
"""Each command keeps to one core, unless the environment says otherwise: three of them run side by side."""


class Command:
    """A command that runs.

    Args:
        process: The process.
        words: The command line after the module.
        out: File of its output; that of its messages ends in ``.err``.
    """

    def __init__(self, process: subprocess.Popen[bytes], words: Sequence[str], out: Path) -> None:
        self.out = out
        self._process = process
        self._words = words

    def running(self) -> bool:
        """Whether it still runs.

        Raises:
            CiaoError: It failed; the message has the last line that it said.
        """
        code = self._process.poll()
        if code:
            said = self.out.with_suffix(".err").read_text(errors="replace").strip().splitlines()
            name = f"`stream {self._words[0]}`"
            raise CiaoError(f"{name} ended with code {code}: {said[-1].removeprefix('error: ') if said else 'no word'}")
        return code is None

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def started(words: Sequence[str], out: Path) -> Iterator[Command]:
    """Run a command in the block, and stop it at its end.

    Args:
        words: The command line after ``python -m ciao_stream.stream``.
        out: Where its output goes.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("wb") as told, out.with_suffix(".err").open("wb") as said:
        argv, environment = [sys.executable, "-m", MODULE, *words], {**ONE_CORE, **os.environ}
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=told, stderr=said, env=environment)
    command = Command(process, words, out)
    try:
        yield command
    finally:
        command.stop()
