"""``benchmark --ray``: cells side by side give what they give one after another."""

import os
import signal
import time

import pytest
import torch

from ciao_stream.benchmark import __main__ as benchmark
from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.ray_cluster import require_answer
from tests.helpers import sequences
from tests.helpers.sequences import arguments, in_child, numbers, start

ONE_THREAD = {"OMP_NUM_THREADS": "1", "CIAO_DATA_ROOT": None}
CELLS = ("dl", "dl+ciao", "logreg")


def words(out, cache, *more, size=24, epochs=1):
    more = ("--seeds", "2", "--cache", str(cache), *more)
    return arguments(out, "fer,jaffe", ",".join(CELLS), *more, size=size, epochs=epochs)


def ask(*args, **options):
    return start("ciao_stream.benchmark", *words(*args, **options), **ONE_THREAD)


def on_one_thread(argv):
    torch.set_num_threads(1)
    return benchmark.main(argv)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same run one after another and on Ray."""
    folder = tmp_path_factory.mktemp("ray")
    code, printed = in_child(on_one_thread, words(folder / "here", folder / "cache"))
    assert code == 0, printed
    process = ask(folder / "ray", folder / "cache", "--ray")
    _, errors = process.communicate(timeout=sequences.PATIENCE_S)
    assert process.returncode == 0, errors
    return folder


def test_cells_on_ray_give_the_same_numbers(runs):
    assert numbers(runs / "ray") == numbers(runs / "here")
    assert {run["strategy"] for run in sequences.document(runs / "ray")["runs"]} == {*CELLS}


@pytest.mark.slow
def test_a_run_on_ray_is_resumed_without_it_and_finished_cells_are_left_alone(runs):
    finished = {path: path.stat().st_mtime_ns for path in (runs / "ray" / "cells").rglob("*.*")}
    process = ask(runs / "ray", runs / "cache", "--resume")
    _, errors = process.communicate(timeout=sequences.PATIENCE_S)
    assert process.returncode == 0, errors
    assert {path: path.stat().st_mtime_ns for path in (runs / "ray" / "cells").rglob("*.*")} == finished


@pytest.mark.slow
def test_what_is_wrong_in_a_worker_is_one_line(runs):
    damaged = runs / "here" / "cells" / "dl+ciao" / "seed1" / "progress.json"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:20])
    process = ask(runs / "here", runs / "cache", "--resume", "--ray")
    _, errors = process.communicate(timeout=sequences.PATIENCE_S)
    damaged.write_bytes(whole)
    assert process.returncode == 2
    assert errors.strip().splitlines()[-1].startswith(f"error: {damaged} is damaged")
    assert "Traceback" not in errors


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "auto"])
def test_a_cluster_that_is_not_there_is_one_line(address):
    with pytest.raises(CiaoError, match=f"--ray {address}: no Ray cluster answers at this address"):
        require_answer(address)


@pytest.mark.slow
def test_a_killed_run_on_ray_is_resumed(tmp_path):
    process = ask(tmp_path / "run", tmp_path / "cache", "--ray", size=48, epochs=20)
    deadline = time.monotonic() + sequences.PATIENCE_S
    while not (done := [*(tmp_path / "run" / "cells").rglob("progress.json")]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    before = {
        path: path.stat().st_mtime_ns for path in done if len(sequences.json.loads(path.read_text())["tasks"]) == 2
    }
    time.sleep(5)  # workers notice that their driver is gone
    ended = ask(tmp_path / "run", tmp_path / "cache", "--ray", "--resume", size=48, epochs=20)
    _, errors = ended.communicate(timeout=sequences.PATIENCE_S)
    assert ended.returncode == 0, errors
    assert {path: path.stat().st_mtime_ns for path in before} == before
    never = ask(tmp_path / "never", tmp_path / "cache", size=48, epochs=20)
    never.communicate(timeout=sequences.PATIENCE_S)
    assert numbers(tmp_path / "run") == numbers(tmp_path / "never")
