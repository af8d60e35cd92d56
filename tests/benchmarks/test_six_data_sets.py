"""The six data sets of the paper in one benchmark, from miniature copies in their real layouts (drawn faces)."""

import pytest

from ciao_stream.benchmark import __main__ as benchmark
from tests.helpers import affectnet_files, emoreact_files, fer2013_files, jaffe_files, own_files, sequences

TASKS = "affectnet,affectnet-va,fer,ferplus,jaffe,emoreact"
PRIMARY = {
    "affectnet": "accuracy",
    "affectnet-va": "ccc",
    "fer": "accuracy",
    "ferplus": "accuracy",
    "jaffe": "accuracy",
    "emoreact": "macro_f1",
}


def write_all(root):
    fer2013_files.write_fer_and_ferplus(root)
    affectnet_files.write_affectnet_2017(root)
    jaffe_files.write_jaffe(root)
    emoreact_files.write_emoreact(root, faces=True)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("six")
    write_all(folder / "data")
    argv = ["--tasks", TASKS, "--data-root", str(folder / "data"), "--strategies", "dl,dl+ciao,naive", "--epochs", "1"]
    argv += ["--seeds", "2", "--balance", "affectnet", "--encoder", "pk", "--cache", str(folder / "cache")]
    code, printed = sequences.in_child(benchmark.main, [*argv, "--out", str(folder / "run")])
    assert code == 0, printed
    return folder / "run", printed


def test_each_is_judged_by_its_own_metric_in_one_table(ran):
    out, printed = ran
    document = sequences.document(out)
    assert {task["name"]: task["primary"] for task in document["tasks"]} == PRIMARY
    assert {task["source"] for task in document["tasks"]} == {"real"}
    done = {(run["strategy"], run["task"], run["seed"]) for run in document["runs"]}
    assert {(s, t, seed) for s in ("dl", "dl+ciao") for t in PRIMARY for seed in (0, 1)} <= done
    assert {task for strategy, task, _ in done if strategy == "naive"} == {"affectnet", "fer", "ferplus", "jaffe"}
    heading = next(line for line in (out / "table.md").read_text().splitlines() if line.startswith("| strategy"))
    assert [name for name in PRIMARY if f"| {name}<br>" in heading] == list(PRIMARY)
    assert "synthetic" not in printed


def test_clips_are_judged_as_one(ran):
    runs = {run["task"]: run["n"] for run in sequences.document(ran[0])["runs"]}
    (emoreact,) = [task for task in sequences.document(ran[0])["tasks"] if task["name"] == "emoreact"]
    assert emoreact["samples"]["test"] == 10 * runs["emoreact"]


def test_every_run_takes_another_fold(ran):
    out, _ = ran
    (jaffe,) = [task for task in sequences.document(out)["tasks"] if task["name"] == "jaffe"]
    held_out = jaffe["folds"]["held_out"]
    assert len(held_out) == 2
    assert held_out[0] != held_out[1]
    assert jaffe["shared_subjects"] == []
    (about,) = [line for line in (out / "table.md").read_text().splitlines() if line.startswith("- jaffe (real)")]
    assert f"folds ran, one per seed, holding out {', '.join(held_out)}" in about
    assert f"--seeds {jaffe['folds']['of']} runs all of them" in about
    assert "people in both train and test: none" in about


def test_photographs_are_cut_to_the_face_and_the_rate_is_told(ran):
    out, _ = ran
    by_name = {task["name"]: task for task in sequences.document(out)["tasks"]}
    assert by_name["fer"]["detection"] == by_name["affectnet"]["detection"] == {}
    found = by_name["emoreact"]["detection"]["test"]
    assert found["detector"] == "haar"
    assert found["none"] < 0.3 * found["images"]
    (about,) = [line for line in (out / "table.md").read_text().splitlines() if line.startswith("- emoreact (real)")]
    assert f"haar found a face in {100 * (1 - found['none'] / found['images']):.1f} %" in about


def test_balanced_training_is_told(ran):
    out, _ = ran
    settings = sequences.document(out)["settings"]["tasks"]
    assert {name for name, chosen in settings.items() if chosen["balanced"]} == {"affectnet"}
    lines = (out / "table.md").read_text().splitlines()
    assert [line.split()[1] for line in lines if "trained on equally frequent classes" in line] == ["affectnet"]


def test_affectnet_is_encoded_once_for_both_tasks(ran):
    seconds = {run["task"]: run["encode_seconds"] for run in sequences.document(ran[0])["runs"]}
    assert seconds["affectnet"] > 0
    assert seconds["affectnet-va"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--balance", "emoreact"], "task 'emoreact' cannot be balanced: it is multilabel and has no classes"),
        (["--balance", "rafdb"], "unknown task to balance 'rafdb'"),
        (["--detector", "yunet:absent.onnx"], "absent.onnx cannot be read"),
        (["--no-face", "error"], "found no face in"),
    ],
)
def test_options_that_cannot_be_kept(options, message, tmp_path, capsys):
    write_all(tmp_path)
    argv = ["--tasks", "jaffe,emoreact", "--data-root", str(tmp_path), "--strategies", "dl", "--epochs", "1"]
    argv += ["--seeds", "1", "--encoder", "pk", "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "run")]
    assert benchmark.main([*argv, *options]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error


def test_own_faces_beside_each_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    own_files.write_own_folder(tmp_path, name="mine")
    names = [f"{i}.png" for i in range(20)]
    (tmp_path / "lab").mkdir()
    own_files.write_own_csv(
        tmp_path / "lab", {"file": names, "value:valence": [0.1 * i - 1 for i in range(20)]}, name="va"
    )
    argv = ["--tasks", "folder:mine,csv:lab/va.csv", "--strategies", "dl", "--epochs", "1", "--seeds", "1"]
    argv += ["--encoder", "pk", "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "run")]
    assert benchmark.main(argv) == 0
    document = sequences.document(tmp_path / "run")
    assert [(task["name"], task["source"], task["primary"]) for task in document["tasks"]] == [
        ("mine", "real", "accuracy"),
        ("va", "real", "ccc"),
    ]
    assert benchmark.main(["--tasks", "folder:mine,folder:mine", *argv[2:-1], str(tmp_path / "other")]) == 2
    assert "task 'folder:mine' is given twice" in capsys.readouterr().err
