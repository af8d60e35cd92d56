"""A head search on real Ray: killed and resumed, trials that fail, and what a benchmark does with its result."""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ciao_stream.benchmark import __main__ as benchmark
from ciao_stream.tune import __main__ as tune
from ciao_stream.worlds.published import published_settings
from ciao_stream.worlds.settings import Settings
from ciao_stream.worlds.tuned import read_tuned
from tests.helpers import sequences
from tests.helpers.sequences import environment, in_child, start
from tuning.journal import Journal, TrialRow, best, read_trials
from tuning.run import known
from tuning.search import HeadSearch
from tuning.space import read_space

TRIALS = 12
OF_PROCESSES = {
    "OMP_NUM_THREADS": "1",
    "CIAO_DATA_ROOT": None,
    "RAY_worker_niceness": "0",  # else Ray's workers wait for whatever else a busy machine does
}
SPACE = """
epochs = 1
lr = { choice = [1e-3, 1e30] }
weight_decay = { loguniform = [1e-6, 1e-2] }
head.hidden = { layers = [0, 1], units = [8, 16] }
head.dropout = { uniform = [0.0, 0.5], unless = { head.hidden = 0 } }
"""  # with the second rate, training diverges


def words(out, cache, *more, trials=TRIALS, size=24, concurrent=1):
    space = out.parent / "space.toml"
    if not space.exists():
        space.write_text(SPACE)
    small = ["--synthetic-size", str(size), "--device", "cpu", "--trial-seeds", "1", "--early-stop", "none"]
    where = ["--out", str(out), "--cache", str(cache), "--space", str(space)]
    return ["--tasks", "fer", "--trials", str(trials), "--concurrent", str(concurrent), *small, *where, *more]


def ask(out, cache, *more, **options):
    return start("ciao_stream.tune", *words(out, cache, *more, **options), **OF_PROCESSES)


def wait_for_trials(out, n, process):
    deadline = time.monotonic() + sequences.PATIENCE_S
    while not (out / "trials.jsonl").exists() or (out / "trials.jsonl").read_bytes().count(b"\n") < n:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Features for all searches."""
    return tmp_path_factory.mktemp("features")


@pytest.fixture(scope="module")
def searched(tmp_path_factory, cache):
    """A search that was killed in its middle and then resumed."""
    folder = tmp_path_factory.mktemp("tune")
    process = ask(folder / "run", cache)
    wait_for_trials(folder / "run", 4, process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    before = (folder / "run" / "trials.jsonl").read_bytes()
    whole = before[: before.rfind(b"\n") + 1]
    with (folder / "run" / "trials.jsonl").open("ab") as file:
        file.write(b'{"task": "fer", "num')  # what a kill may leave of a line
    process = ask(folder / "run", cache, "--resume")
    printed, errors = process.communicate(timeout=sequences.PATIENCE_S)
    assert process.returncode == 0, errors
    return folder, whole, printed


def rows(searched) -> list[TrialRow]:
    return read_trials(searched[0] / "run" / "trials.jsonl")


def test_no_finished_trial_runs_again(searched):
    folder, before, _ = searched
    text = (folder / "run" / "trials.jsonl").read_bytes()
    assert 4 <= before.count(b"\n") < TRIALS, "it was killed in its middle"
    assert text.startswith(before)
    assert [row.number for row in rows(searched)] == list(range(TRIALS))
    assert not (folder / "run" / "ray").exists()


def test_a_resumed_search_proposes_the_same_points(searched):
    """A search that was never stopped, given the same scores, proposes the same points."""
    space = read_space(searched[0] / "space.toml", Settings())
    found = rows(searched)
    points = [space.nearest(Settings()), space.nearest(published_settings("ciao-face", "fer"))]
    never = HeadSearch(space, "fer", range(TRIALS), points)
    for row in found:
        assert never.suggest(f"t{row.number}")["point"] == row.point
        never.on_trial_complete(f"t{row.number}", {"score": known(row).score})


def test_a_failed_trial_is_recorded_and_the_search_continues(searched):
    failed = [row for row in rows(searched) if row.status == "failed"]
    assert failed
    for row in failed:
        assert row.config["lr"] == 1e30
        assert row.at_fault
        assert row.score is None
        assert "training diverged" in row.error
    others = [row for row in rows(searched) if row.status != "failed"]
    assert {row.config["lr"] for row in others} == {1e-3}
    assert len({row.worker for row in rows(searched)}) == 2, "one worker before the kill, one after it"


def test_every_trial_says_what_it_was_and_where_its_time_went(searched):
    for row in rows(searched):
        assert Settings.from_json(row.settings) == Settings().changed(row.config)
        assert row.seconds["total"] >= row.seconds["load"] + row.seconds["train"] + row.seconds["judge"] - 1e-6
        if row.status == "finished":
            assert row.curve == [row.score] == row.values


def test_a_benchmark_takes_what_was_found_and_gets_the_same_number(searched, cache):
    folder, _, printed = searched
    tuned = folder / "run" / "tuned.json"
    top = best(rows(searched))
    document = json.loads(tuned.read_text())
    assert document["format"] == "ciao_stream/tuned/1"
    assert document["tasks"]["fer"]["settings"] == top.settings
    assert document["tasks"]["fer"]["trial"] == top.number
    assert str(tuned) in printed
    more = ["--heads", str(tuned), "--judge-on", "validation", "--cache", str(cache)]
    argv = ["--tasks", "fer", "--strategies", "dl+ciao", "--seeds", "1", "--device", "cpu", "--synthetic-size", "24"]
    code, said = in_child(benchmark.main, [*argv, "--out", str(folder / "benchmark"), *more])
    assert code == 0, said
    results = sequences.document(folder / "benchmark")
    assert results["settings"]["tasks"]["fer"] == top.settings
    assert results["settings"]["heads"] == read_tuned(tuned).describe()
    assert results["runs"][0]["metrics"]["accuracy"] == top.score


def test_heads_of_another_encoder_or_without_the_task_are_one_line(searched, tmp_path, capsys):
    tuned = searched[0] / "run" / "tuned.json"
    small = ["--strategies", "dl", "--synthetic-size", "24", "--device", "cpu", "--cache", str(cache)]
    argv = ["--heads", str(tuned), "--out", str(tmp_path / "out"), *small]
    assert benchmark.main(["--tasks", "jaffe", *argv]) == 2
    assert "unknown task 'jaffe'; known: fer; tune it too" in capsys.readouterr().err
    assert benchmark.main(["--tasks", "fer", "--encoder", "resnet18", *argv]) == 2
    assert f"--heads {tuned} was tuned over encoder ciao-face (" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_another_search_does_not_go_on_with_this_one(searched, cache, capsys):
    folder = searched[0]
    assert tune.main(words(folder / "run", cache)) == 2
    assert "add --resume to resume it" in capsys.readouterr().err
    assert tune.main(words(folder / "run", cache, "--resume", "--seed", "1")) == 2
    assert "differs in seed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--ray", "127.0.0.1:1"], "--ray 127.0.0.1:1: no Ray cluster answers at this address"),
        (["--tasks", "ferr"], "unknown task 'ferr': did you mean 'fer'"),
        (["--scheme", "dl+cia"], "unknown scheme 'dl+cia'"),
        (["--search", "grid"], "argument --search: expected one of tpe, random but got 'grid'"),
        (["--early-stop", "early"], "argument --early-stop: expected one of asha, median, none but got 'early'"),
        (["--space", "nowhere.toml"], "space nowhere.toml: there is no such file"),
        (["--folds", "9999"], "--folds 9999: task 'fer' has only"),
    ],
)
def test_bad_input_is_one_line(tmp_path, cache, capsys, more, said):
    argv = words(tmp_path / "out", cache, *more)
    assert sequences.exit_code(tune.main, argv) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("error: ")
    assert said in lines[-1]


def test_no_room_for_features_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ciao_stream.encoders.cache.FeatureCache._make_room", _no_room(tmp_path))
    assert tune.main(words(tmp_path / "out", tmp_path / "cache")) == 2
    assert "but the budget of the cache is" in capsys.readouterr().err.strip().splitlines()[-1]


def _no_room(folder):
    from ciao_stream.encoders.cache import FeatureCache

    make_room = FeatureCache._make_room
    return lambda _, size: make_room(FeatureCache(folder, budget=10), size)


def test_a_journal_that_is_damaged_in_its_middle_is_one_line(tmp_path):
    (tmp_path / "trials.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match=r"trials.jsonl, line 1, is damaged"):
        Journal(tmp_path)


@pytest.mark.slow
def test_ctrl_c_prints_how_to_resume(tmp_path, cache):
    process = ask(tmp_path / "run", cache, trials=400)
    wait_for_trials(tmp_path / "run", 2, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=sequences.PATIENCE_S)
    assert process.returncode == 130
    line = f"interrupted; resume with: python -m ciao_stream.tune --resume --out {tmp_path / 'run'}"
    assert errors.strip().splitlines()[-1] == line


def ray_node(*options) -> subprocess.Popen:
    """A node of a cluster, by ``ray start``."""
    command = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--num-cpus", "1", *options]
    quiet = {**OF_PROCESSES, "RAY_USAGE_STATS_ENABLED": "0"}
    return subprocess.Popen(
        command, env=environment(**quiet), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=sequences.ROOT
    )


@pytest.mark.slow
def test_two_nodes_both_work_and_the_search_outlives_one(tmp_path, cache, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    nodes = [ray_node("--head", "--port", str(port), "--node-ip-address", "127.0.0.1", "--include-dashboard", "false")]
    try:
        _wait_until_it_listens(port)
        nodes.append(ray_node("--address", address))
        process = ask(tmp_path / "run", cache, "--ray", address, trials=150, concurrent=2)
        deadline = time.monotonic() + sequences.PATIENCE_S
        while len({row.worker for row in _ended(tmp_path / "run")}) < 2:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        nodes[1].send_signal(signal.SIGTERM)
        nodes[1].wait(sequences.PATIENCE_S)
        _, errors = process.communicate(timeout=sequences.PATIENCE_S)
        assert process.returncode == 0, errors
        found = _ended(tmp_path / "run")
        assert sorted(row.number for row in found) == list(range(150))
        assert {row.status for row in found} <= {"finished", "failed"}
        assert all(row.at_fault for row in found if row.status == "failed")
    finally:
        for node in reversed(nodes):
            node.send_signal(signal.SIGTERM)
            node.wait(sequences.PATIENCE_S)


def _wait_until_it_listens(port):
    deadline = time.monotonic() + sequences.PATIENCE_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _ended(out) -> list[TrialRow]:
    return read_trials(out / "trials.jsonl") if (out / "trials.jsonl").exists() else []
