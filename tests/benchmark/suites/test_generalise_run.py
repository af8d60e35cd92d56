"""``benchmark --suite generalise``, as a user runs it."""

import json
import re
import shutil
import signal

import cv2
import numpy as np
import pytest

from ciao_stream.benchmark import __main__ as benchmark
from ciao_stream.benchmark.suites import SUITES
from ciao_stream.benchmark.suites.generalise.common import COMMON
from ciao_stream.benchmark.suites.generalise.grid import FORMAT, METHODS, TABLE_1
from ciao_stream.benchmark.suites.generalise.judging import FILE
from ciao_stream.benchmark.suites.generalise.tables import build_tables
from ciao_stream.report.intervals import mean_interval
from ciao_stream.report.table import to_markdown
from tests.helpers import (
    affectnet_files,
    fer2013_files,
    mmafedb_files,
    own_files,
    pages,
    rafdb_files,
    real_data,
    sfew_files,
)
from tests.helpers.documents import grid_entry
from tests.helpers.sequences import counted, in_child, killed

real_faces = real_data.real_faces


def arguments(folder, *more, tasks="affectnet,fer,ferplus", epochs=1, cache=None):
    argv = ["--suite", "generalise", "--tasks", tasks, "--epochs", str(epochs), "--synthetic-size", "16"]
    argv += ["--device", "cpu", "--encoder", "random:ciao-face", "--out", str(folder / "run")]
    return [*argv, "--cache", str(cache or folder / "cache"), *more]


def grid_of(folder):
    return json.loads((folder / "run" / "generalise.json").read_text())


def answers(folder):
    """All that a seed decides."""
    return {
        (r["strategy"], r["train"], r["test"], r["seed"]): (r["metrics"], r["state_sha256"], r["n"])
        for r in grid_of(folder)["runs"]
    }


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A run of all default strategies on synthetic worlds."""
    folder = tmp_path_factory.mktemp("generalise")
    code, printed = in_child(benchmark.main, arguments(folder, "--seeds", "2"))
    assert code == 0, printed
    return folder, printed


STRATEGIES = SUITES["generalise"].strategies
TASKS = ("affectnet", "fer", "ferplus")


def test_the_grid_is_complete(ran):
    document = grid_of(ran[0])
    assert document["format"] == FORMAT
    assert document["classes"] == [*COMMON]
    expected = {(s, a, b, seed) for s in STRATEGIES for a in TASKS for b in TASKS for seed in (0, 1)}
    assert answers(ran[0]).keys() == expected
    assert len(document["runs"]) == len(expected)


def test_the_own_test_is_what_the_strategy_measured_itself(ran):
    for strategy in STRATEGIES:
        progress = json.loads((ran[0] / "run" / "cells" / strategy / "seed1" / "progress.json").read_text())
        own = {task["task"]: (task["metrics"], task["state_sha256"], task["n"]) for task in progress["tasks"]}
        assert own == {task: answers(ran[0])[strategy, task, task, 1] for task in TASKS}


def test_contempt_is_left_out_of_affectnet_and_counted(ran):
    (affectnet,) = [task for task in grid_of(ran[0])["tasks"] if task["name"] == "affectnet"]
    assert affectnet["labels"] == [*COMMON]
    n = {(r["n"]) for r in grid_of(ran[0])["runs"] if r["test"] == "affectnet"}
    assert n == {affectnet["samples"]["test"]}
    assert affectnet["dropped"]["test"]["contempt: no common class"] + affectnet["samples"]["test"] == 8
    assert affectnet["dropped"]["train"]["contempt: no common class"] + affectnet["samples"]["train"] == 16


def test_cells_that_share_pictures_are_marked_and_left_out(ran):
    folder, _ = ran
    document = grid_of(folder)
    assert [(one["train"], one["test"], one["learned"]) for one in document["shared"]] == [
        ("fer", "ferplus", 0), ("ferplus", "fer", 0),
    ]  # fmt: skip
    found = grid_entry(document, "dl", "fer", "apart")
    cell = grid_entry(document, "dl", "fer", None, test="affectnet")
    assert (found["mean"], found["interval"]) == (cell["mean"], cell["interval"])
    marked = re.findall(r"[\d.]+(?: ±[\d.]+)?‡", (folder / "run" / "generalise.md").read_text())
    assert len(marked) == 2 * len(STRATEGIES)


def test_tables_show_the_numbers_of_the_document(ran):
    folder, printed = ran
    document, text = grid_of(folder), (folder / "run" / "generalise.md").read_text()
    for table in build_tables(document):
        assert to_markdown(table) in text
        assert table.title in " ".join(printed.split())
    html = (folder / "run" / "generalise.html").read_text()
    assert pages.check_tables(html, text) == sum(len(t.headings) * len(t.rows) for t in build_tables(document))
    assert "every number in generalise.json" in pages.read_page(html).find("section", id="repeat")[0].text
    *_, grid = build_tables(document)
    shown = {row[0].text: row for row in grid.rows}
    for train in TASKS:
        for cell, test in zip(shown[train][1:4], TASKS, strict=True):
            values = [answers(folder)["full", train, test, seed][0]["accuracy"] for seed in (0, 1)]
            mean, half = mean_interval(values)
            assert float(cell.text.split(" ±")[0].rstrip("°‡")) == pytest.approx(100 * mean, abs=0.0501)
            if half:
                assert float(cell.text.split(" ±")[1].rstrip("°‡")) == pytest.approx(100 * half, abs=0.0501)


def test_synthetic_data_is_called_so_everywhere(ran):
    folder, printed = ran
    document, text = grid_of(folder), (folder / "run" / "generalise.md").read_text()
    assert {task["source"] for task in document["tasks"]} == {"synthetic"}
    titles = [line for line in text.splitlines() if line.startswith("#")]
    assert all(title.endswith("(synthetic data)") for title in titles)
    assert printed.count("(synthetic data)") >= len(titles) - 1
    assert all("synthetic" in "".join(heading) for heading in build_tables(document)[-1].headings[1:4])


SMALL = ("--seeds", "1", "--strategies", "logreg,dl+ciao,cafe-small")
STEP, ASKED = (
    "ciao_stream.worlds.training:WorldLearner.step",
    "ciao_stream.benchmark.suites.generalise.judging:evaluate",
)


@pytest.fixture(scope="module")
def whole(ran, tmp_path_factory):
    """A run that is never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    code, printed = in_child(counted, arguments(folder, *SMALL, cache=ran[0] / "cache"), ASKED)
    assert code == 0, printed
    assert "called [27]" in printed  # 3 strategies, each task asked about each
    return folder


@pytest.mark.parametrize(
    ("where", "nth", "worlds", "left"),
    [
        pytest.param(STEP, 3, 2, 27, marks=pytest.mark.slow),
        pytest.param("ciao_stream.runtime.artifact:write_text", 2, 1, 27, marks=pytest.mark.slow),
        (ASKED, 11, 6, 27 - 9),
        ("ciao_stream.benchmark.suites.generalise.judging:write_text", 9, 6, 3),
        pytest.param("ciao_stream.benchmark.suites.report:write_text", 1, 6, 0, marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_is_resumed_and_ends_like_one_that_was_not(where, nth, worlds, left, whole, ran, tmp_path):
    argv = arguments(tmp_path, *SMALL, cache=ran[0] / "cache")
    code, printed = in_child(killed, argv, where, nth, "before")
    assert code == -signal.SIGKILL, printed
    trained = {path: path.stat().st_mtime_ns for name in ("world", "cafe") for path in tmp_path.rglob(f"{name}.json")}
    assert len(trained) == worlds
    code, printed = in_child(counted, [*argv, "--resume"], ASKED)
    assert code == 0, printed
    assert f"called [{left}]" in printed
    assert answers(tmp_path) == answers(whole)
    assert {path: path.stat().st_mtime_ns for path in trained} == trained, "a finished world was trained again"


def test_metrics_saved_for_another_state_are_computed_again(whole, ran, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "copy")
    path = folder / "run" / "cells" / "dl+ciao" / "seed0" / "fer" / FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"state_sha256": "0" * 64}))
    argv = arguments(folder, *SMALL, "--resume", cache=ran[0] / "cache")
    code, printed = in_child(counted, argv, ASKED)
    assert code == 0, printed
    assert "called [3]" in printed
    assert answers(folder) == answers(whole)
    for content in ("", "[]", '{"format": 1}', path.read_text().replace('"n"', '"m"')):
        path.write_text(content)
        code, printed = in_child(benchmark.main, argv)
        assert code == 2, printed
        assert f"error: {path} is damaged: delete it to evaluate again" in printed


def test_a_run_of_another_kind_is_not_gone_on_with(whole, ran, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "copy")
    argv = arguments(folder, *SMALL, "--resume", cache=ran[0] / "cache")[2:]
    code, printed = in_child(benchmark.main, argv)
    assert code == 2, printed
    assert "differs in format" in printed


@pytest.mark.parametrize(
    ("tasks", "more", "message"),
    [
        ("fer", (), "fer alone is not enough"),
        ("fer,emoreact,affectnet-va", (), "(emoreact is multilabel; affectnet-va is dimensional)"),
        ("fer,jaffe", ("--strategies", "dl,naive,joint"), "suite generalise cannot run naive, joint"),
        ("fer,jaffe", ("--strategies", "dll"), "unknown strategy 'dll'"),
        ("fer,jaffe", ("--strategies", "logreg,logreg+ciao"), "strategy 'logreg' has no mask"),
    ],
)
def test_what_cannot_be_run_is_one_line(tasks, more, message, tmp_path, capsys):
    assert benchmark.main(arguments(tmp_path, *more, tasks=tasks)) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert error[-1].startswith("error: ")
    assert message in error[-1]
    assert not (tmp_path / "run").exists()


def test_classes_of_own_faces_are_known_by_their_names(tmp_path):
    """What ``seven`` learned is asked of ``three``, whose classes have other numbers and whose tests it knows."""
    own_files.write_copies(tmp_path)
    tasks = ",".join(f"folder:{tmp_path / name}" for name in ("seven", "three"))
    code, printed = in_child(benchmark.main, arguments(tmp_path, "--strategies", "logreg", "--seeds", "1", tasks=tasks))
    assert code == 0, printed
    metrics, _, n = answers(tmp_path)["logreg", "seven", "three", 0]
    assert (metrics["accuracy"], n) == (1.0, 3)
    assert "seven and three share images, 3 of three's; seven is trained on 3 that three is tested on" in printed


def test_the_five_data_sets_of_the_paper_from_miniature_copies(tmp_path):
    data = tmp_path / "data"
    rows = fer2013_files.write_fer_and_ferplus(data)
    affectnet_files.write_affectnet_2017(data)
    rafdb_files.write_rafdb(data)
    sfew_files.write_sfew(data)
    mmafedb_files.write_mmafedb(data)
    for number, face in enumerate(row[1] for row in rows if row[2] == "Training"):
        assert cv2.imwrite(str(data / "mmafedb" / "MMAFEDB" / "train" / "happy" / f"fer{number}.png"), face)
    tasks = "rafdb,ferplus,affectnet,sfew,mmafedb"
    argv = arguments(tmp_path, "--data-root", str(data), "--strategies", "logreg,dl", "--seeds", "1", tasks=tasks)
    code, printed = in_child(benchmark.main, argv)
    assert code == 0, printed
    document = grid_of(tmp_path)
    assert len(document["runs"]) == 2 * 25
    assert {(one["train"], one["test"]) for one in document["shared"]} == {
        ("ferplus", "mmafedb"), ("mmafedb", "ferplus"),
    }  # fmt: skip
    cafe = {e["train"]: e["mean"] for e in document["published"] if (e["method"], e["over"]) == ("CAFE", "all")}
    assert {train: cafe[train] for train in TABLE_1} == pytest.approx(
        {train: np.mean(rows["CAFE"]) / 100 for train, rows in TABLE_1.items()}
    )
    overview, apart, *_ = build_tables(document)
    assert [row[0].text for row in overview.rows] == ["logreg", "dl", *METHODS]
    assert [row[0].published for row in apart.rows] == [False, False, *[True] * 5]
    assert "synthetic" not in printed


def test_real_fer_and_ferplus(real_faces, tmp_path):
    argv = arguments(tmp_path, "--data-root", str(real_faces), "--seeds", "1", tasks="fer,ferplus")
    code, printed = in_child(benchmark.main, [*argv, "--strategies", "logreg,dl,cafe-small"])
    assert code == 0, printed
    document = grid_of(tmp_path)
    assert len(document["runs"]) == 3 * 4
    of_ferplus = document["shared"][0]
    _, ferplus = document["tasks"]
    assert of_ferplus["pictures"] == ferplus["samples"]["train"] + ferplus["samples"]["test"]
    assert ferplus["dropped"]["test"]["contempt: no common class"] == 1
    assert grid_entry(document, "dl", "fer", "apart")["mean"] is None
    assert grid_entry(document, "CAFE", "ferplus", None, test="ferplus")["mean"] == 0.8951
    assert "synthetic" not in printed
