"""The help of every command comes at once."""

import resource
import subprocess
import sys

import pytest

from tests.helpers import ROOT
from tests.helpers.sequences import environment

HEAVY = {"torch", "numpy", "avalanche", "rich", "cv2", "redis", "pydantic", "PIL", "matplotlib"}
IN_MAIN = ["-c", "import sys; from ciao_stream.__main__ import main; sys.exit(main())"]
COMMANDS = {
    "benchmark": (["-m", "ciao_stream.benchmark", "--help"], "benchmark"),
    "ciao-stream": (["-m", "ciao_stream.__main__", "--help"], "explain"),
    "ciao-stream benchmark": ([*IN_MAIN, "benchmark", "-h"], "benchmark"),
    "explain": (["-m", "ciao_stream.explain", "--help"], "--images"),
    "stream": (["-m", "ciao_stream.stream", "-h"], "publish"),
    "stream publish": (["-m", "ciao_stream.stream", "publish", "-h"], "publish"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_takes_less_than_half_a_second_and_loads_nothing_heavy(command):
    argv, word = COMMANDS[command]
    seconds = []
    for first in (True, False, False):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        python = [sys.executable, *(["-v"] if first else [])]
        done = subprocess.run([*python, *argv], capture_output=True, text=True, env=environment(), cwd=ROOT, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if first:
            imported = {line.split("'")[1] for line in done.stderr.splitlines() if line.startswith("import '")}
            assert "argparse" in imported or command == "ciao-stream"
            assert not imported & HEAVY
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert word in done.stdout
    assert min(seconds) < 0.5
