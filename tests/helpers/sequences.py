"""Benchmarks run by the tests: in this process, and in processes that are started, watched and killed."""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ciao_stream.benchmark import __main__ as benchmark
from ciao_stream.checks.strategy import Ground

ROOT = Path(benchmark.__file__).resolve().parents[2]
"""The repository, or wherever the package was imported from."""

PATIENCE_S = 900
"""Seconds that a process may be silent, on a machine that is busy with other work."""

PRELOAD = [
    "ciao_stream.benchmark.run", "strategies.base.per_task", "strategies.base.shared_head",
    "benchmarks.synthetic.renderer", "cv2", "sklearn.metrics", "ciao_stream.stream.learner.follow", "torch._dynamo",
]  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A feature cache for all tests of a module."""
    return tmp_path_factory.mktemp("features")


@pytest.fixture
def ground(tmp_path: Path, cache: Path) -> Ground:
    """What a strategy is checked on."""
    return Ground(tmp_path, cache)


def arguments(out: Path, tasks: str, strategies: str, *more: str, size: int = 24, epochs: int = 1) -> list[str]:
    """The arguments of a small benchmark of synthetic worlds on the CPU, one seed unless ``more`` says otherwise."""
    sizes = ["--synthetic-size", str(size), "--epochs", str(epochs), "--seeds", "1"]
    return ["--tasks", tasks, "--strategies", strategies, "--out", str(out), "--device", "cpu", *sizes, *more]


def exit_code(main: Callable[[list[str]], int], argv: list[str]) -> int | str | None:
    """Run a command here and return its exit code, whether its parser or the command itself ends it."""
    try:
        return main(argv)
    except SystemExit as left:
        return left.code


def document(out: Path) -> dict[str, Any]:
    """The results document of a run."""
    return json.loads((out / "results.json").read_text())


def numbers(out: Path) -> dict[str, Any]:
    """All of a run's results that a seed decides: metrics, details, weights' hashes and R; no seconds."""
    found = document(out)
    runs = {
        (run["strategy"], run["task"], run["seed"]): (run["metrics"], run["details"], run["state_sha256"], run["n"])
        for run in found["runs"]
    }
    return {"runs": runs, "matrices": found["matrices"]}


def environment(**changed: str | None) -> dict[str, str]:
    """The environment of a process: this one's, with changes; None takes a variable away."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    bins = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    merged: dict[str, str | None] = {**os.environ, "PYTHONPATH": path, "PATH": bins, **changed}
    return {name: value for name, value in merged.items() if value is not None}


def start(*argv: str, **env: str | None) -> subprocess.Popen[str]:
    """Start ``python -m ...``, with pipes for its output."""
    command = [sys.executable, "-m", *argv]
    return subprocess.Popen(
        command, env=environment(**env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )


def in_child(target: Callable[..., int | None], *args: Any) -> tuple[int, str]:
    """Call ``target(*args)`` in a process that has everything imported; return its exit code and what it printed.

    The processes are forked from a server that imports Avalanche once. The code is negative for a signal.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, target, args))
    process.start()
    sender.close()
    printed = ""
    with contextlib.suppress(EOFError):
        while receiver.poll(PATIENCE_S):
            printed += receiver.recv()
    process.join(PATIENCE_S)
    if process.exitcode is None:
        process.kill()
        process.join()
    receiver.close()
    code = process.exitcode
    process.close()
    return code, printed


def patch(place: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace a function, given as ``module:path``, by what ``wrap`` makes of it."""
    module, _, path = place.partition(":")
    owner, _, name = path.rpartition(".")
    target: Any = importlib.import_module(module)
    target = getattr(target, owner) if owner else target
    setattr(target, name, wrap(getattr(target, name)))


def checkpoints_at_every_epoch() -> None:
    """Have worlds written down after every epoch, however short."""
    import strategies.base.per_task

    strategies.base.per_task.CHECKPOINT_EVERY_S = 0.0


def watch(place: str, when: str, act: Callable[[int], object]) -> None:
    """Have something done ``before`` or ``after`` each call of a function, with the number of the call."""
    calls = 0

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls = nth = calls + 1
            if when == "before":
                act(nth)
            result = function(*args, **kwargs)
            if when == "after":
                act(nth)
            return result

        return watched

    patch(place, wrap)


def killed(argv: list[str], place: str, nth: int, when: str) -> int:
    """Run a benchmark, and let the process be killed at the nth call of a function, ``before`` it or ``after`` it."""
    checkpoints_at_every_epoch()
    watch(place, when, lambda call: os.kill(os.getpid(), signal.SIGKILL) if call == nth else None)
    return benchmark.main(argv)


def counted(argv: list[str], *places: str) -> int:
    """Run a benchmark, and print how often each of some functions was called."""
    calls = dict.fromkeys(places, 0)
    checkpoints_at_every_epoch()
    for place in places:
        watch(place, "before", functools.partial(calls.__setitem__, place))
    code = benchmark.main(argv)
    print(f"called {list(calls.values())}")
    return code


def _child(sender: Any, target: Callable[..., int | None], args: Sequence[Any]) -> None:
    import torch

    class Out:
        def write(self, text: str) -> int:
            sender.send(text)
            return len(text)

        def flush(self) -> None:
            pass

        def isatty(self) -> bool:
            return False

    torch.set_num_threads(1)
    os.environ.pop("CIAO_DATA_ROOT", None)
    sys.stdout = sys.stderr = Out()
    sys.exit(target(*args))
