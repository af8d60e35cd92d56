"""``python -m ciao_stream.benchmark``: what a run leaves behind, and that a seed decides its numbers."""

import csv
import itertools
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from benchmarks.names import task_names
from ciao_stream import __main__ as cli
from ciao_stream.benchmark import __main__ as benchmark
from ciao_stream.report.figures import bar_figure, r_matrix_figure
from ciao_stream.report.results import read_results
from ciao_stream.worlds.published import published_settings
from ciao_stream.worlds.settings import PRESETS
from strategies import strategy_names
from tests.helpers import sequences
from tests.helpers.sequences import arguments, document, numbers

TASKS = ("affectnet", "affectnet-va", "fer", "ferplus", "emoreact")
PER_TASK, SHARED = ("dl", "dl+ciao", "lc"), ("naive", "joint")
SEEDS = (0, 1)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """One run of two seeds with tasks of all four kinds: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("benchmark")
    more = ("--seeds", "2", "--cache", str(folder / "cache"))
    argv = arguments(folder / "run", ",".join(TASKS), ",".join(PER_TASK + SHARED), *more)
    code, printed = sequences.in_child(benchmark.main, argv)
    assert code == 0, printed
    return folder / "run", printed


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("CIAO_CACHE", str(tmp_path / "cache"))


def test_a_run_leaves_every_file_of_the_report(ran):
    out, printed = ran
    files = {path.name for path in out.iterdir()}
    made_of_results = {"results.csv", "table.md", "bars.png", "r_matrix.png", "report.html"}
    assert files == {"run.json", "cells", "results.json"} | made_of_results
    assert read_results(out / "results.json")["encoder"]["name"] == "ciao-face"
    assert imread(out / "bars.png").std() > 0
    assert f"results, table and figures: {out}" in printed
    assert "encode affectnet " in printed
    assert "train joint, ferplus, seed 1" in printed
    assert not list(out.rglob(".*"))
    assert not list(out.rglob("epoch.pt"))


def test_every_cell_has_a_row_or_a_reason(ran):
    found = document(ran[0])
    cells = {(run["strategy"], run["task"], run["seed"]) for run in found["runs"]}
    left_out = {(cell["strategy"], cell["task"]) for cell in found["not_run"]}
    assert left_out == {(strategy, task) for strategy in SHARED for task in ("affectnet-va", "emoreact")}
    every = itertools.product(PER_TASK + SHARED, TASKS, SEEDS)
    assert cells == {cell for cell in every if cell[:2] not in left_out}
    assert len(found["runs"]) == len(cells)
    with (ran[0] / "results.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(cells)
    assert all(run["train_seconds"] > 0 and run["trained_parameters"] > 0 for run in found["runs"])


def test_worlds_of_their_own_forget_exactly_nothing(ran):
    found = document(ran[0])
    for strategy, seed in itertools.product(PER_TASK, SEEDS):
        matrix = np.array(found["matrices"][strategy][str(seed)], dtype=float)
        for column, values in enumerate(matrix.T):
            assert len({*values[: column + 1]}) == 1, "a task changed before it was trained"
            assert len({*values[column + 1 :]}) == 1, "a task changed after it was trained"
    summary = {(entry["strategy"], entry["metric"]): entry["mean"] for entry in found["summary"] if not entry["task"]}
    assert {strategy: summary[strategy, "forgetting"] for strategy in PER_TASK} == dict.fromkeys(PER_TASK, 0.0)
    assert {strategy: summary[strategy, "bwt"] for strategy in PER_TASK} == dict.fromkeys(PER_TASK, 0.0)
    assert summary["joint", "forgetting"] is None


def test_synthetic_data_is_marked_wherever_it_is_shown(ran):
    out, printed = ran
    found = document(out)
    assert {task["source"] for task in found["tasks"]} == {"synthetic"}
    with (out / "results.csv").open() as file:
        assert {row["source"] for row in csv.DictReader(file)} == {"synthetic"}
    table = (out / "table.md").read_text().splitlines()
    assert table[0] == "# Results on the test splits (synthetic data)"
    heading = next(line for line in table if line.startswith("| strategy"))
    assert heading.count("synthetic") == len(TASKS)
    assert "(synthetic data)" in printed
    for figure in (bar_figure(found), r_matrix_figure(found)):
        titles = [figure.get_suptitle(), *(axes.get_title() for axes in figure.axes)]
        assert any("synthetic data" in title for title in titles)


def test_worlds_that_share_their_faces_are_encoded_once(ran):
    seconds = {run["task"]: run["encode_seconds"] for run in document(ran[0])["runs"]}
    assert {task for task in TASKS if seconds[task] > 0} == {"affectnet", "fer", "emoreact"}
    assert (seconds["affectnet-va"], seconds["ferplus"]) == (0.0, 0.0)


def test_the_same_seed_gives_the_same_numbers_and_another_seed_other_ones(ran, tmp_path):
    argv = arguments(tmp_path / "run", ",".join(TASKS), "joint,dl+ciao", "--cache", str(tmp_path / "cache"))
    code, printed = sequences.in_child(benchmark.main, argv)
    assert code == 0, printed
    again, before = numbers(tmp_path / "run"), numbers(ran[0])
    assert again["runs"] == {key: before["runs"][key] for key in again["runs"]}
    assert len(again["runs"]) == 8
    assert again["matrices"] == {s: {"0": before["matrices"][s]["0"]} for s in ("joint", "dl+ciao")}
    for strategy, task, seed in before["runs"]:
        other = before["runs"][strategy, task, 1 - seed]
        assert other[1] != before["runs"][strategy, task, seed][1]


def test_the_document_says_what_was_run(ran):
    found = document(ran[0])
    assert found["command"][:3] == ["ciao_stream.benchmark", "--tasks", ",".join(TASKS)]
    assert found["settings"]["preset"] == "default"
    assert found["settings"]["tasks"]["fer"] == {**PRESETS["default"].to_json(), "epochs": 1}
    assert [task["name"] for task in found["tasks"]] == list(TASKS)
    assert {run["n"] for run in found["runs"] if run["task"] == "emoreact"} == {2}  # clips of four frames
    assert {run["n"] for run in found["runs"] if run["task"] == "fer"} == {8}


def test_the_paper_preset_takes_the_published_values(tmp_path, capsys):
    argv = arguments(tmp_path / "run", "ferplus", "dl+ciao", "--preset", "paper", size=8)
    assert benchmark.main(argv) == 0
    settings = document(tmp_path / "run")["settings"]["tasks"]["ferplus"]
    assert settings == {**published_settings("ciao-face", "ferplus").to_json(), "epochs": 1}
    capsys.readouterr()


def test_results_go_to_a_folder_of_their_own_by_default(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argv = arguments(Path("none"), "fer", "dl", size=8)
    place = argv.index("--out")
    assert benchmark.main(argv[:place] + argv[place + 2 :]) == 0
    (out,) = (tmp_path / "runs").iterdir()
    assert out.name.startswith("benchmark-")
    assert (out / "results.json").exists()
    streams = capsys.readouterr()
    assert f"results, table and figures: runs/{out.name}" in streams.out
    assert "encode fer" in streams.err
    assert "encode fer" not in streams.out


def test_tasks_that_no_strategy_can_run_are_said_and_no_failure(tmp_path, capsys):
    assert benchmark.main(arguments(tmp_path / "run", "affectnet-va", "naive", size=8)) == 0
    found = document(tmp_path / "run")
    assert (found["runs"], len(found["not_run"])) == ([], 1)
    assert "dimensional targets do not fit a shared class head" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("size", [65, 2])
def test_a_last_batch_of_one_face_stops_no_strategy(size, tmp_path, capsys):
    assert benchmark.main(arguments(tmp_path / "run", "fer,jaffe", "naive,replay,joint,dl", size=size)) == 0
    values = [value for run in document(tmp_path / "run")["runs"] for value in run["metrics"].values()]
    assert all(math.isfinite(value) for value in values if value is not None)
    capsys.readouterr()


def test_help_names_all_that_can_be_chosen(capsys):
    with pytest.raises(SystemExit) as left:
        benchmark.main(["--help"])
    text = re.sub(r"(?<=\w-)\n *", "", capsys.readouterr().out)  # argparse breaks lines at hyphens
    words = {word.strip("(),.;:") for word in text.split()}
    assert left.value.code == 0
    assert {
        *task_names(), *strategy_names(), *PRESETS, "ciao-face", "facechannel", "pk", "resnet18", "vggface",
    } <= words  # fmt: skip
    assert "synthetic worlds and marked as such everywhere" in " ".join(text.split())


def test_the_installed_command_runs_the_same_commands(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ciao-stream", "benchmark", *arguments(tmp_path / "run", "fer", "dl", size=8)])
    assert cli.main() == 0
    assert document(tmp_path / "run")["command"][0] == "ciao_stream.benchmark"
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["ciao-stream", "benchmrk"])
    assert cli.main() == 2
    known = "(known: benchmark, tune, stream, explain, report, pretrain, data)"
    assert capsys.readouterr().err == f"error: unknown command 'benchmrk': did you mean 'benchmark'? {known}\n"
    monkeypatch.setattr(sys, "argv", ["ciao-stream"])
    assert cli.main() == 0
    assert "usage: ciao-stream COMMAND" in capsys.readouterr().out
