"""Bad input is one line that says what is wrong and what to do; nothing half-written is left behind."""

import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ciao_stream.benchmark import __main__ as benchmark
from ciao_stream.worlds.tuned import FORMAT
from tests.helpers import sequences
from tests.helpers.fer2013_files import (
    VOTE_COLUMNS,
    edit_line,
    pixel_text,
    some_rows,
    write_csv,
    write_folders,
    write_votes,
)
from tests.helpers.sequences import arguments, document, in_child, numbers

ROWS = some_rows(per_class=1)
NOT_PERMITTED = 77
"""Exit code of a child that may not mount a file system of its own."""


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("CIAO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def refused(capsys):
    """Run the command; return the one line that it refuses with. ``late`` errors may follow a line of progress."""

    def run(argv, late=False):
        assert sequences.exit_code(benchmark.main, argv) == 2
        streams = capsys.readouterr()
        lines = streams.err.strip().splitlines()
        assert lines[-1].startswith("error: ")
        assert late or len(lines) == 1
        assert "Traceback" not in streams.err
        assert streams.out == ""
        assert len(lines[-1]) < 700
        return lines[-1].removeprefix("error: ")

    return run


OPTIONS = {
    "a task twice": ({"--tasks": "fer,jaffe,fer"}, "task 'fer' is given twice"),
    "a task twice by two rules": ({"--tasks": "ferplus,ferplus:majority"}, "task 'ferplus' is given twice"),
    "a strategy twice": ({"--strategies": "dl,dl"}, "strategy 'dl' is given twice"),
    "two masks": ({"--strategies": "dl+ciao+ciao"}, "strategy 'dl+ciao' already has a mask: use 'dl+ciao'"),
    "no tasks": ({"--tasks": ""}, "no task given"),
    "only commas": ({"--tasks": " , "}, "no task given"),
    "no strategies": ({"--strategies": ""}, "no strategy given"),
    "a rule of a synthetic world": ({"--tasks": "ferplus:majority"},
        "a synthetic world has no label rules; give --data"),
    "epochs twice": ({"--epochs": "1", "--set": "epochs=2"}, "--epochs 1 and --set epochs=2: give one of them"),
    "no cluster": ({"--ray": "localhost:1"}, "--ray localhost:1: no Ray cluster answers at this address"),
    "unknown crop": ({"--face-crop": "sometimes"}, "argument --face-crop: expected one of auto, always, never but got"),
    "unknown device": ({"--device": "tpu"}, "argument --device: expected one of auto, cpu, cuda but got 'tpu'"),
    "one face": ({"--synthetic-size": "1"}, "task 'fer': one face to train on; at least two are needed"),
    "no root": ({"--data-root": ""}, "--data-root is empty: give the folder"),
    "not there": ({"--tasks": "jaffe", "--data-root": "/proc/self/fd"}, "task 'jaffe': no folder jaffe under"),
    "output in /proc": ({"--out": "/proc/run"}, "cannot write /proc/run/run.json"),
    "a long name": ({"--out": "n" * 300}, "File name too long"),
    "cache in /proc": ({"--cache": "/proc/cache"}, "cannot write /proc/cache/"),
}  # fmt: skip


@pytest.mark.parametrize("case", OPTIONS)
def test_an_option_that_cannot_be_met(case, refused, tmp_path):
    changed, message = OPTIONS[case]
    argv = arguments(tmp_path / "run", "fer", "dl", size=8)
    line = refused([*argv, *(word for pair in changed.items() for word in pair)], late=case.startswith("cache"))
    assert message in line
    if not case.startswith("cache"):
        assert not (tmp_path / "run").exists()


def test_a_preset_and_the_settings_of_a_search_contradict_each_other(refused, tmp_path):
    heads = {"format": FORMAT, "encoder": {"name": "e", "fingerprint": "f"}, "space_sha256": "s", "tasks": {}}
    (tmp_path / "tuned.json").write_text(json.dumps(heads))
    argv = arguments(tmp_path / "run", "fer", "dl", "--heads", str(tmp_path / "tuned.json"), "--preset", "paper")
    assert refused(argv) == "--preset and --heads exclude each other: the file of --heads has all settings"


def test_a_gpu_that_is_not_there(refused, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    line = refused([*arguments(tmp_path / "run", "fer", "dl"), "--device", "cuda"])
    assert line == "device 'cuda': torch finds no GPU on this machine; use --device cpu"


@pytest.mark.parametrize(
    ("option", "value"),
    [("--seeds", "0"), ("--seeds", "-1"), ("--epochs", "x"), ("--epochs", "1.5"), ("--epochs", "²")],
)
def test_a_number_out_of_range_is_one_line(option, value, refused, tmp_path):
    line = refused([*arguments(tmp_path / "run", "fer", "dl"), f"{option}={value}"])
    assert option.strip("-") in line
    assert "expected a whole number" in line
    assert f"but got {value}" in line.replace("'", "")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--folds", "3"], "unknown option --folds (see python -m ciao_stream.benchmark --help)"),
        (["--strategise", "dl"],
         "unknown option --strategise: did you mean --strategies? (see python -m ciao_stream.benchmark --help)"),
        (["--seed", "1"],
         "unknown option --seed: did you mean --seeds? (see python -m ciao_stream.benchmark --help)"),
        (["--resume", "--tasks", "fer"], "--resume needs --out DIR: the folder of the run to resume"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_one_line(words, line, refused):
    assert refused(words) == line


EARLY = {
    "benchmark --tasks ferr": "unknown task 'ferr': did you mean 'fer'",
    "benchmark --tasks folder:/nope": "there is no folder /nope; expected DIR/",
    "benchmark --tasks csv:/nope.csv": "there is no file /nope.csv; expected a csv file",
    "benchmark --tasks fer --data-root /nope": "data root /nope is not a folder",
    "benchmark --tasks fer --strategies dll": "unknown strategy 'dll': did you mean 'dl'",
    "benchmark --tasks fer --strategies all,dl": "--strategies all names every strategy: omit the others",
    "benchmark --tasks fer --encoder vgg-face": "unknown encoder 'vgg-face': did you mean 'vggface'",
    "benchmark --tasks fer --encoder torchvision:": "encoder 'torchvision:' lacks the name of a network",
    "benchmark --tasks fer --encoder torchvision:resnet81": "unknown network 'resnet81' of torchvision: did you mean",
    "benchmark --tasks fer --encoder weights:farl": "unknown weights 'farl': did you mean 'farl-b16'",
    "benchmark --tasks fer --encoder weights:farl-b16": "farl-b16",
    "benchmark --tasks fer --suite paper --encoder pk,ciao-fac": "unknown encoder 'ciao-fac': did you mean 'ciao-face'",
    "benchmark --tasks fer --balance jaffe": "unknown task to balance 'jaffe'; known: fer",
    "benchmark --tasks fer --preset papers": "unknown preset 'papers': did you mean 'paper'",
    "benchmark --tasks fer --set lrr=1": "unknown setting 'lrr': did you mean 'lr'",
    "benchmark --tasks fer --set head.pol=mean": "unknown setting 'head.pol': did you mean 'head.pool'",
    "benchmark --tasks fer --set lr=-1": "settings: lr: expected a number > 0 but got -1",
    "benchmark --tasks fer --seeds 0": "argument --seeds: expected a whole number >= 1 but got 0 (see ",
    "benchmark --tasks fer --limit 0": "argument --limit: expected a whole number >= 2 but got 0 (see ",
    "benchmark --tasks fer --device gpu": "expected one of auto, cpu, cuda but got 'gpu': did you mean cuda?",
    "benchmark --tasks fer --detector har": "unknown face detector 'har': did you mean 'haar'",
    "benchmark --tasks fer --data-root . --tasks ferplus:most": "unknown label rule 'most'",
    "tune --tasks fer --scheme dll": "unknown scheme 'dll': did you mean 'dl'",
    "tune --tasks fer --space /nope.toml": "/nope.toml",
    "pretrain supervised --tasks ferr": "unknown task 'ferr': did you mean 'fer'",
    "explain --run /nope": "--run /nope: no such folder; give the results folder of a benchmark",
    "report /nope": "/nope: expected the folder of a run, or of several, but found no results.json",
}


@pytest.mark.parametrize("line", EARLY)
def test_a_wrong_name_or_value_is_answered_before_anything_heavy_is_imported(line):
    script = (
        "import atexit, sys; from ciao_stream.__main__ import main; "
        "atexit.register(lambda: print(sorted({'torch', 'cv2', 'avalanche', 'ray'} & {*sys.modules}))); "
        "sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *line.split()], env=sequences.environment(), cwd=sequences.ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "[]\n"), done.stderr
    assert done.stderr.startswith("error: ")
    assert EARLY[line] in done.stderr
    assert done.stderr.count("\n") == 1


TRAINING = 2 + next(row for row, (_, _, usage) in enumerate(ROWS) if usage == "Training")
"""Line of a csv file that is surely read: the validation split is not part of a benchmark."""

FACE = pixel_text(ROWS[TRAINING - 2][1]).split()


def set_cell(column, value, number=TRAINING):
    def change(path):
        lines = path.read_text().split("\n")
        cells = lines[number - 1].split(",")
        cells[column] = value
        path.write_text("\n".join([*lines[: number - 1], ",".join(cells), *lines[number:]]))

    return change


DAMAGES = {
    "wrong columns": (lambda p: edit_line(p, 1, "pixels", "pixel"), "line 1: no column pixels; expected"),
    "2,303 pixels": (set_cell(1, " ".join(FACE[:-1])), f"line {TRAINING}: 2,303 pixels; expected 2,304 (48x48)"),
    "pixel 999": (set_cell(1, " ".join(["999", *FACE[1:]])), f"line {TRAINING}: pixel 1 is '999'; expected an integer"),
    "pixel abc": (set_cell(1, " ".join(["abc", *FACE[1:]])), f"line {TRAINING}: pixel 1 is 'abc'; expected an integer"),
    "label 9": (set_cell(0, "9"), f"line {TRAINING}: emotion '9'; expected one of 0 angry"),
    "no test split": (lambda p: p.write_text(p.read_text().replace("PrivateTest", "PublicTest")),
        "no row has the Usage"),
    "nothing": (lambda p: p.unlink(), "task 'fer': no csv with faces and no train and test folders under"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_csv_names_its_file_and_line(damage, refused, tmp_path):
    change, message = DAMAGES[damage]
    change(write_csv(tmp_path / "data" / "fer2013" / "fer2013.csv", ROWS))
    argv = [*arguments(tmp_path / "run", "fer", "dl"), "--data-root", str(tmp_path / "data")]
    late = damage in ("pixel 999", "pixel abc")
    line = refused(argv, late=late)
    assert message in line
    assert damage == "nothing" or str(tmp_path / "data" / "fer2013" / "fer2013.csv") in line
    assert not list((tmp_path / "cache").glob("*")), "a face that was not read was cached"
    assert not (tmp_path / "run").exists() or not [*(tmp_path / "run").iterdir()], "the mended data would be refused"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda votes: votes.__setitem__(3, [0] * 10), "line 5: no votes (all 10 columns are 0)"),
        (lambda votes: votes.pop(), "fer2013new.csv has 20 rows but"),
        (lambda votes: votes.__setitem__(slice(None), [[0] * 8 + [10, 0]] * len(votes)), "split 'train': no samples"),
    ],
    ids=["a row without votes", "a row too few", "no emotion that a majority saw"],
)
def test_damaged_votes_name_their_file(change, message, refused, tmp_path):
    write_csv(tmp_path / "fer2013.csv", ROWS)
    votes = [[10 if i == row % 8 else 0 for i in range(len(VOTE_COLUMNS))] for row in range(len(ROWS))]
    change(votes)
    write_votes(tmp_path / "ferplus" / "fer2013new.csv", ROWS[: len(votes)], votes)
    argv = [*arguments(tmp_path / "run", "ferplus", "dl"), "--data-root", str(tmp_path)]
    assert message in refused(argv)


def test_an_image_that_was_cut_short_names_its_file(refused, tmp_path):
    write_folders(tmp_path / "fer2013", some_rows(per_class=2))
    path = next((tmp_path / "fer2013" / "test" / "sad").iterdir())
    path.write_bytes(path.read_bytes()[:300])
    line = refused([*arguments(tmp_path / "run", "fer", "dl"), "--data-root", str(tmp_path)], late=True)
    assert line == f"{path}: not a whole image (300 bytes); get the file again"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished run of two tasks."""
    folder = tmp_path_factory.mktemp("done")
    argv = arguments(folder / "run", "fer,jaffe", "dl+ciao", "--cache", str(folder / "cache"))
    code, printed = in_child(benchmark.main, argv)
    assert code == 0, printed
    return folder / "run"


OTHERS = {
    "without --resume": (("fer,jaffe",), {}, "already holds a run: add --resume to resume it, or choose another --out"),
    "other tasks": (("fer", "--resume"), {}, "differs in tasks, data, settings"),
    "other order": (("jaffe,fer", "--resume"), {}, "differs in tasks"),
    "other epochs": (("fer,jaffe", "--resume"), {"epochs": 2}, "differs in settings"),
    "other preset": (("fer,jaffe", "--resume", "--preset", "paper"), {}, "differs in settings"),
    "other encoder": (("fer,jaffe", "--resume", "--encoder", "pk"), {}, "differs in encoder"),
    "other faces": (("fer,jaffe", "--resume"), {"size": 25}, "differs in data"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_another_run_in_the_output_folder(case, done, refused):
    (tasks, *more), sizes, message = OTHERS[case]
    before = {path: path.read_bytes() for path in done.rglob("*") if path.is_file()}
    assert f"{done} {message}" in refused(arguments(done, tasks, "dl+ciao", *more, **sizes))
    assert {path: path.read_bytes() for path in done.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("suite", [(), ("--suite", "paper"), ("--suite", "ablation")])
def test_resuming_where_there_is_nothing(suite, refused, tmp_path):
    argv = arguments(tmp_path / "run", "fer", "dl", "--resume", *suite)
    assert "nothing to resume in" in refused(argv)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"[1]", b"null", b"7", b"\xff\xfe", None])
@pytest.mark.parametrize("more", [(), ("--resume",)], ids=["new", "resume"])
def test_a_damaged_run_json(content, more, refused, tmp_path):
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "run.json"
    path.mkdir() if content is None else path.write_bytes(content)
    line = refused(arguments(tmp_path / "run", "fer", "dl", *more, size=8))
    assert str(tmp_path / "run") in line
    assert "choose another --out" in line


@pytest.mark.parametrize("place", ["file/run", "file"])
def test_an_output_folder_below_a_file(place, refused, tmp_path):
    (tmp_path / "file").write_text("kept")
    line = refused(arguments(tmp_path / place, "fer", "dl", size=8))
    assert f"cannot write {tmp_path / place}/run.json: a part of the path is a file, not a folder" in line
    assert (tmp_path / "file").read_text() == "kept"


def small_files(argv):
    """Run where no file may be larger than 2 MB: features fit, the weights of a masked world do not."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
    return benchmark.main(argv)


def small_disk(argv, out, listing):
    """Run on a disk of 3.5 MB, where the first of two worlds fits; then give it room and resume."""
    uid, gid = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(0x10000000 | 0x00020000):  # a user and a mount namespace
        return NOT_PERMITTED
    for name, line in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        Path(f"/proc/self/{name}").write_text(line)
    Path(out).mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3500k", "tmpfs", out], check=False).returncode:
        return NOT_PERMITTED
    code = benchmark.main(argv)
    names = sorted(str(path.relative_to(out)) for path in Path(out).rglob("*") if path.is_file())
    subprocess.run(["mount", "-o", "remount,size=64m", out], check=True)
    again = benchmark.main([*argv, "--resume"])
    shutil.copy(Path(out) / "results.json", listing)
    print(json.dumps([code, again, names]))
    return 0


def test_a_file_that_may_not_be_written_in_the_middle(done, tmp_path):
    argv = arguments(tmp_path / "run", "fer,jaffe", "dl+ciao", "--cache", str(done.parent / "cache"))
    code, printed = in_child(small_files, argv)
    lines = printed.strip().splitlines()
    assert code == 2, printed
    assert lines[-1].startswith("error: cannot write ")
    assert "weights.safetensors: the file would be larger than this process may write" in lines[-1]
    assert "Traceback" not in printed
    assert [path.name for path in (tmp_path / "run").rglob("*") if path.is_file()] == ["run.json"]
    code, printed = in_child(benchmark.main, [*argv, "--resume"])
    assert code == 0, printed
    assert numbers(tmp_path / "run") == numbers(done)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts a small disk by Linux's namespaces")
def test_a_disk_that_is_full_in_the_middle(done, tmp_path):
    argv = arguments(tmp_path / "disk", "fer,jaffe", "dl+ciao", "--cache", str(done.parent / "cache"))
    code, printed = in_child(small_disk, argv, str(tmp_path / "disk"), str(tmp_path / "results.json"))
    if code == NOT_PERMITTED:
        pytest.skip("no namespace may be made here, so no small disk can be mounted")
    assert code == 0, printed
    full, again, names = json.loads(printed.strip().splitlines()[-1])
    assert (full, again) == (2, 0)
    errors = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "the disk is full: free some space or choose another folder" in errors[0]
    cell = "cells/dl+ciao/seed0"
    assert names == [f"{cell}/fer/weights.safetensors", f"{cell}/fer/world.json", f"{cell}/progress.json", "run.json"]
    assert numbers(tmp_path) == numbers(done)
    assert document(tmp_path)["tasks"][0]["source"] == "synthetic"
