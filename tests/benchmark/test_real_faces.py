"""The benchmark on real faces: FER2013 and FER+."""

import csv

import pytest

from ciao_stream.benchmark import __main__ as benchmark
from ciao_stream.faces.task import EMOTIONS
from tests.helpers import real_data, sequences
from tests.helpers.sequences import document

real_faces = real_data.real_faces

STRATEGIES = ("dl", "dl+ciao", "naive")


@pytest.fixture(scope="module")
def ran(real_faces, tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    argv = ["--tasks", "fer,ferplus:probability", "--strategies", ",".join(STRATEGIES), "--epochs", "1", "--seeds", "1"]
    argv += ["--data-root", str(real_faces), "--out", str(folder / "run"), "--cache", str(folder / "cache")]
    code, printed = sequences.in_child(benchmark.main, argv)
    assert code == 0, printed
    return folder / "run", printed


def test_every_strategy_runs_on_real_faces(ran):
    runs = document(ran[0])["runs"]
    assert {(run["strategy"], run["task"]) for run in runs} == {(s, t) for s in STRATEGIES for t in ("fer", "ferplus")}
    assert all(0 < run["metrics"]["accuracy"] < 1 for run in runs)
    assert {run["n"] for run in runs if run["task"] == "fer"} == {200}


def test_rules_and_classes_of_real_labels_are_named(ran):
    out, _ = ran
    fer, ferplus = document(out)["tasks"]
    assert (fer["kind"], tuple(fer["labels"])) == ("categorical", EMOTIONS[:7])
    assert (ferplus["kind"], tuple(ferplus["labels"])) == ("votes", EMOTIONS)
    assert set(fer["label_rule"].values()) == {"as annotated"}
    assert ferplus["label_rule"] == {"train": "probability", "validation": "majority", "test": "majority"}
    assert ferplus["dropped"]["test"].keys() == {"no image name", "no emotion by majority"}
    notes = (out / "table.md").read_text().splitlines()
    assert any(line.startswith("- fer (real): categorical, n scored 200, label rule: as annotated") for line in notes)
    (about,) = [line for line in notes if line.startswith("- ferplus (real): votes")]
    assert "label rule: majority; protocol: official splits" in about


def test_real_faces_are_never_called_synthetic(ran):
    out, printed = ran
    with (out / "results.csv").open() as file:
        assert {row["source"] for row in csv.DictReader(file)} == {"real"}
    assert "synthetic" not in (out / "table.md").read_text() + printed
    assert {task["source"] for task in document(out)["tasks"]} == {"real"}


def test_the_same_faces_are_encoded_once(ran):
    seconds = {run["task"]: run["encode_seconds"] for run in document(ran[0])["runs"]}
    assert seconds["fer"] > 0
    assert seconds["ferplus"] == 0.0


@pytest.mark.parametrize("rule", ["majorty", "mode"])
def test_an_unknown_rule_is_one_line(rule, real_faces, tmp_path, capsys):
    argv = ["--tasks", f"ferplus:{rule}", "--data-root", str(real_faces), "--out", str(tmp_path / "run")]
    assert benchmark.main(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: unknown label rule {rule!r}")
    assert "majority" in error
    assert error.count("\n") == 1
