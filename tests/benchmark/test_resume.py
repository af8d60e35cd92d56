"""Stop anywhere, resume, and end as the run that was never stopped."""

import json
import shlex
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from benchmarks.tasks import load_task
from ciao_stream.benchmark import __main__ as benchmark
from ciao_stream.benchmark.prepare import data_sha256
from tests.helpers.sequences import (
    PATIENCE_S,
    ROOT,
    arguments,
    counted,
    document,
    environment,
    exit_code,
    in_child,
    killed,
    numbers,
    start,
)

TASKS, STRATEGIES, EPOCHS = "affectnet,ferplus", "dl+ciao,naive", 3
STEPS = 2 * EPOCHS
"""Batches that dl+ciao learns from in all: 24 faces are one batch."""


LEARNER = "ciao_stream.worlds.training:WorldLearner.step"
SHARED = "strategies.base.shared_head:Epochs.after_training_epoch"


def argv_for(folder, *more, cache=None):
    return arguments(folder / "run", TASKS, STRATEGIES, "--cache", str(cache or folder / "cache"), *more, epochs=EPOCHS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that is never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    code, printed = in_child(counted, argv_for(folder), LEARNER, SHARED)
    assert code == 0, printed
    assert f"called [{STEPS}, {STEPS}]" in printed
    return folder


KILLED = {
    # where, at which call, before or after it; batches that are left to the worlds and to the shared head
    "while encoding": ("ciao_stream.encoders.base:Encoder.stored_z", 2, "before", STEPS, STEPS),
    "before the first epoch": (LEARNER, 1, "before", STEPS, STEPS),
    "in the second epoch": (LEARNER, 2, "before", STEPS - 1, STEPS),
    "in the middle of the second task": (LEARNER, 5, "after", STEPS - 4, STEPS),
    "while writing a checkpoint": ("strategies.base.per_task:write_bytes", 2, "before", STEPS - 1, STEPS),
    "after the last checkpoint of a task": ("strategies.base.per_task:write_bytes", 3, "after", STEPS - 3, STEPS),
    "inside the saving of a world": ("ciao_stream.runtime.artifact:write_text", 1, "before", STEPS - 3, STEPS),
    "between a world and its progress": ("ciao_stream.worlds.world:World.save", 1, "after", STEPS - 3, STEPS),
    "after the progress of a task": ("strategies.base.sequence:Outcome.save", 1, "after", STEPS - 3, STEPS),
    "before the last progress of a cell": ("strategies.base.sequence:Outcome.save", 2, "before", 0, STEPS),
    "in a shared head": (SHARED, 4, "after", 0, STEPS),
    "after a shared head was saved": ("strategies.base.sequence:Outcome.save", 3, "before", 0, STEPS),
    "before the results": ("ciao_stream.benchmark.run:write_results", 1, "before", 0, 0),
    "between two files of results": ("ciao_stream.report.results:write_text", 2, "before", 0, 0),
    "when all is done": ("ciao_stream.benchmark.run:write_figures", 1, "after", 0, 0),
}


@pytest.mark.parametrize("point", KILLED)
def test_a_killed_run_is_resumed_and_ends_like_one_that_was_not(point, whole, tmp_path):
    place, nth, when, worlds, shared = KILLED[point]
    cache = None if "encod" in point else whole / "cache"
    code, printed = in_child(killed, argv_for(tmp_path, cache=cache), place, nth, when)
    assert code == -signal.SIGKILL, printed
    code, printed = in_child(counted, argv_for(tmp_path, "--resume", cache=cache), LEARNER, SHARED)
    assert code == 0, printed
    assert f"called [{worlds}, {shared}]" in printed
    assert numbers(tmp_path / "run") == numbers(whole / "run")
    assert all(run["train_seconds"] > 0 for run in document(tmp_path / "run")["runs"])


def test_a_run_may_be_killed_again_and_again(whole, tmp_path):
    for nth in (2, 2, 3):
        more = ["--resume"] if (tmp_path / "run").exists() else []
        code, printed = in_child(killed, argv_for(tmp_path, *more, cache=whole / "cache"), LEARNER, nth, "before")
        assert code == -signal.SIGKILL, printed
    code, printed = in_child(counted, argv_for(tmp_path, "--resume", cache=whole / "cache"), LEARNER, SHARED)
    assert code == 0, printed
    assert f"called [{STEPS - 4}, {STEPS}]" in printed
    assert numbers(tmp_path / "run") == numbers(whole / "run")


def test_a_finished_run_is_not_learned_again_and_may_be_extended(whole, tmp_path):
    shutil.copytree(whole / "run", tmp_path / "run")
    before = document(tmp_path / "run")
    code, printed = in_child(counted, argv_for(tmp_path, "--resume", cache=whole / "cache"), LEARNER, SHARED)
    assert code == 0, printed
    assert "called [0, 0]" in printed
    assert [run["train_seconds"] for run in document(tmp_path / "run")["runs"]] == [
        run["train_seconds"] for run in before["runs"]
    ]
    argv = argv_for(tmp_path, "--resume", "--seeds", "2", cache=whole / "cache")
    code, printed = in_child(counted, argv, LEARNER, SHARED)
    assert code == 0, printed
    assert f"called [{STEPS}, {STEPS}]" in printed  # the second seed's
    runs = numbers(tmp_path / "run")["runs"]
    assert {key: runs[key] for key in runs if key[2] == 0} == numbers(whole / "run")["runs"]
    assert len(runs) == 8


def test_the_recorded_options_are_enough_to_resume_and_one_of_them_may_change(whole, tmp_path, capsys):
    code, printed = in_child(killed, argv_for(tmp_path, cache=whole / "cache"), LEARNER, 5, "before")
    assert code == -signal.SIGKILL, printed
    alone = ["--resume", "--out", str(tmp_path / "run")]
    assert benchmark.main([*alone, "--epochs", "2"]) == 2
    assert f"the run in {tmp_path / 'run'} differs in settings: resume it with" in capsys.readouterr().err
    code, printed = in_child(counted, alone, LEARNER, SHARED)
    assert code == 0, printed
    assert f"called [{STEPS - 4}, {STEPS}]" in printed
    assert numbers(tmp_path / "run") == numbers(whole / "run")
    command, whole_command = (document(folder / "run")["command"] for folder in (tmp_path, whole))
    assert command[-2:] == ["--out", str(tmp_path / "run")]
    assert command[:-2] == whole_command[:-2]
    code, printed = in_child(counted, [*alone, "--strategies", "dl+ciao,naive,majority"], LEARNER, SHARED)
    assert code == 0, printed
    assert {run["strategy"] for run in document(tmp_path / "run")["runs"]} == {"dl+ciao", "naive", "majority"}
    results = (tmp_path / "run" / "results.json").read_bytes()
    for fewer in (alone, argv_for(tmp_path, "--resume")):
        assert benchmark.main([*fewer, "--strategies", "dl+ciao"]) == 2
        lost = f"the results of majority, naive in {tmp_path / 'run'} would be lost: omit --strategies and --seeds"
        assert lost in capsys.readouterr().err
    assert (tmp_path / "run" / "results.json").read_bytes() == results
    record = json.loads((tmp_path / "run" / "run.json").read_text())["plan"]
    assert record["strategies"] == ["dl+ciao", "naive", "majority"]


def test_a_run_of_a_version_that_recorded_no_options_is_resumed_by_the_same_command(whole, tmp_path, capsys):
    shutil.copytree(whole / "run", tmp_path / "run")
    path = tmp_path / "run" / "run.json"
    old = {name: value for name, value in json.loads(path.read_text()).items() if name != "plan"}
    path.write_text(json.dumps(old))
    assert exit_code(benchmark.main, ["--resume", "--out", str(tmp_path / "run")]) == 2
    assert "recorded no options (an older version wrote it): repeat all of them" in capsys.readouterr().err
    code, printed = in_child(counted, argv_for(tmp_path, "--resume", cache=whole / "cache"), LEARNER, SHARED)
    assert code == 0, printed
    assert "called [0, 0]" in printed
    assert json.loads(path.read_text()).items() > old.items()


@pytest.fixture(scope="module")
def cut(whole, tmp_path_factory):
    """A run that was killed in its second task."""
    folder = tmp_path_factory.mktemp("cut")
    assert in_child(killed, argv_for(folder, cache=whole / "cache"), LEARNER, 5, "before")[0] == -signal.SIGKILL
    return folder / "run"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", None])
@pytest.mark.parametrize("file", ["progress.json", "epoch.pt", "affectnet/weights.safetensors", "affectnet/world.json"])
def test_a_damaged_file_of_a_run_is_one_line(file, content, cut, whole, tmp_path, capsys):
    shutil.copytree(cut, tmp_path / "run")
    path = tmp_path / "run" / "cells" / "dl+ciao" / "seed0" / file
    path.write_bytes(path.read_bytes()[:-9] if content is None else content)
    assert benchmark.main(argv_for(tmp_path, "--resume", cache=whole / "cache")) == 2
    streams = capsys.readouterr()
    line = streams.err.strip().splitlines()[-1]
    assert line.startswith("error: ")
    assert "damaged" in line or "no description of a world" in line
    assert "delete" in line
    assert str(path.parent) in line
    assert (streams.err + streams.out).count("error") == 1


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A run without a home folder, stopped by Ctrl-C, and resumed by the line that it printed."""
    folder = tmp_path_factory.mktemp("interrupted")
    settings = {"OMP_NUM_THREADS": "1", "MPLCONFIGDIR": matplotlib.get_configdir(), "CIAO_CACHE": None}
    nowhere = {"HOME": None, "XDG_CACHE_HOME": None, "CIAO_DATA_ROOT": None, **settings}
    argv = arguments(folder / "run", TASKS, STRATEGIES, epochs=EPOCHS)
    process = start("ciao_stream.benchmark", *argv, **nowhere)
    first = folder / "run" / "cells" / "dl+ciao" / "seed0" / "affectnet" / "world.json"
    deadline = time.monotonic() + PATIENCE_S
    while not first.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE_S)
    line = errors.strip().splitlines()[-1]
    go_on = line.removeprefix("interrupted; resume with: ")
    unwritable = environment(**{**nowhere, "HOME": "/proc/nowhere", "XDG_CACHE_HOME": str(folder / "xdg")})
    done = subprocess.run(go_on, shell=True, env=unwritable, cwd=ROOT, capture_output=True, text=True, check=False)
    return folder, process.returncode, errors, line, done


def test_ctrl_c_prints_how_to_resume(interrupted):
    folder, code, errors, line, _ = interrupted
    assert code == 130, errors
    assert line.startswith("interrupted; resume with: python -m ciao_stream.benchmark ")
    words = shlex.split(line.removeprefix("interrupted; resume with: "))
    assert words[3:] == ["--resume", "--out", str(folder / "run")]
    assert "Traceback" not in errors


def test_the_line_that_ctrl_c_prints_works(interrupted, whole):
    folder, _, _, _, done = interrupted
    assert done.returncode == 0, done.stderr
    assert numbers(folder / "run") == numbers(whole / "run")


def test_without_a_home_folder_the_cache_goes_to_the_results(interrupted):
    folder, _, _, _, _ = interrupted
    assert list((folder / "run" / "cache").glob("*.npy"))
    assert list((folder / "xdg" / "ciao_stream").glob("*.npy"))  # and elsewhere where the user has said so


def test_ctrl_c_without_out_names_the_folder_that_was_chosen(tmp_path, monkeypatch, capsys):
    """A run that is interrupted before anything is saved cannot be resumed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CIAO_CACHE", str(tmp_path / "cache"))

    def interrupt(*_):
        raise KeyboardInterrupt

    argv = arguments(Path("none"), "fer", "dl", size=8)
    place = argv.index("--out")
    argv = argv[:place] + argv[place + 2 :]
    for where, expected in (("load_encoder", None), ("encode_tasks", "--resume")):
        monkeypatch.setattr(f"ciao_stream.benchmark.run.{where}", interrupt)
        assert benchmark.main(argv) == 130
        line = capsys.readouterr().err.strip()
        monkeypatch.undo()
        monkeypatch.chdir(tmp_path)
        if expected is None:
            assert line == "interrupted"
        else:
            (out,) = (tmp_path / "runs").iterdir()
            assert shlex.split(line)[-3:] == ["--resume", "--out", f"runs/{out.name}"]


def test_other_clips_are_other_data():
    """A split's frames may stay what they are while the clips that they are judged by do not."""
    task = load_task("emoreact", None, sizes={"train": 8, "validation": 8, "test": 8})
    assert task.test.groups is not None
    other = replace(task, test=replace(task.test, groups=np.zeros_like(task.test.groups)))
    assert data_sha256(other) != data_sha256(task)
