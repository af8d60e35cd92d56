"""``python -m ciao_stream.data check``: options, class folders, worker processes and real faces."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.names import real_task_names
from ciao_stream import __main__ as cli
from ciao_stream.data import __main__ as data
from ciao_stream.data.check.places import UniqueImages
from ciao_stream.data.check.scan import CHUNK, scan
from ciao_stream.data.check.view import printable
from ciao_stream.exceptions import CiaoError
from tests.helpers import real_data, sequences, slow_faces
from tests.helpers.check_reports import made_task, notes, smooth, wrong
from tests.helpers.fer2013_files import CANONICAL, some_rows, write_csv, write_folders
from tests.helpers.own_files import write_own_folder

real_faces = real_data.real_faces
ROWS = some_rows()


# --- options ---------------------------------------------------------------------------------------------------------

BAD = {
    "no folder": (["ABSENT"], "not a folder: expected the folder that holds the data sets"),
    "nothing there": (["EMPTY"], "found no data set under"),
    "no task that was named": (["EMPTY", "--tasks", "fer"], "found none of fer under"),
    "unknown task": (["EMPTY", "--tasks", "frr"], "unknown task 'frr': did you mean 'fer'"),
    "unknown rule": (["FER", "--tasks", "fer:majority"], "unknown label rule 'majority'"),
    "a task twice": (["FER", "--tasks", "fer,jaffe,fer"], "task 'fer' given twice"),
    "no task": (["FER", "--tasks", ","], "--tasks needs at least one task"),
    "out is a file": (["FER", "--tasks", "fer", "--out", "FILE"], "cannot write"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_usage_is_one_line_and_code_2(tmp_path, capsys, case):
    argv, message = BAD[case]
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "FILE").touch()
    write_csv(tmp_path / "FER" / "fer2013.csv", ROWS)
    places = [str(tmp_path / word) if word.isupper() else word for word in argv]
    out = [] if "--out" in argv else ["--out", str(tmp_path / "out")]
    assert data.main(["check", *places, *out]) == 2
    streams = capsys.readouterr()
    (line,) = [line for line in streams.err.split("\n") if line.startswith("error: ")]
    assert message in line
    assert not (tmp_path / "out").exists()


def test_all_layouts_are_listed_if_nothing_is_found(tmp_path, capsys):
    assert data.main(["check", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    line = capsys.readouterr().err
    assert all(f"{name}: ROOT/" in line for name in real_task_names())


def test_a_named_task_must_be_there(check, tmp_path):
    write_csv(tmp_path / "fer2013.csv", ROWS)
    code, document, _, _ = check(tmp_path, "--tasks", "fer,jaffe")
    assert code == 1
    (text,) = wrong(document)
    assert text.startswith("task 'jaffe': ")
    assert document["not_found"][0]["task"] == "jaffe"


def test_a_users_own_folder(check, tmp_path):
    root = write_folders(tmp_path / "mine", smooth(ROWS))
    code, document, _, _ = check(tmp_path, "--tasks", f"folder:{root}")
    assert (code, document["verdict"]) == (0, "nothing wrong")
    assert document["tasks"][0]["name"] == f"folder:{root}"
    assert sum(split["samples"] for split in document["tasks"][0]["splits"]) == 42
    assert sum(document["tasks"][0]["splits"][2]["counts"].values()) == 28
    assert set(document["tasks"][0]["spec"]["labels"]) == set(CANONICAL)


@pytest.mark.parametrize("splits", [("train", "test"), ()])
def test_class_folders_without_a_known_data_set_are_checked(check, tmp_path, splits):
    write_own_folder(tmp_path, splits=splits, classes=("glad", "sad", "bored"), per_class=5)
    for name in ("notes.txt", "face.heic", "more.heic"):
        (tmp_path / "mine" / (splits or ("",))[0] / "sad" / name).touch()
    code, document, shown, _ = check(tmp_path / "mine")
    assert (code, [task["name"] for task in document["tasks"]]) == (0, [f"folder:{tmp_path}/mine"])
    n = 10 if splits else 5
    how = f"no known data set, so its folders were checked as folder:{tmp_path}/mine: bored {n}, glad {n}, sad {n}"
    assert notes(document, "class folders") == [how]
    dropped = "train: 3 samples dropped: not an image (.heic) 2, not an image (.txt) 1"
    assert notes(document, "dropped") == [f"folder:{tmp_path}/mine {dropped}"]
    assert how in shown
    assert document["not_found"] == []
    assert dropped in shown


def test_class_folders_with_a_mistake_are_reported(check, tmp_path):
    write_own_folder(tmp_path, splits=("train", "tets"))
    code, document, _, _ = check(tmp_path / "mine")
    assert code == 1
    (text,) = wrong(document)
    assert text.startswith(f"folder:{tmp_path}/mine: {tmp_path}/mine: unknown folder 'tets' next to the splits")


def test_class_folders_further_down_are_suggested(check, tmp_path):
    write_own_folder(tmp_path)
    code, _, _, error = check(tmp_path)
    assert code == 2
    assert (
        f"found no data set under {tmp_path}; {tmp_path}/mine has class folders: to check it, run data check" in error
    )
    assert (
        "; expected class folders (DIR/{train,validation,test}/CLASS/* (validation is optional) or DIR/CLASS" in error
    )
    assert len(error.strip().split("\n")[-1]) < 1500


def test_the_default_folder_of_results(tmp_path, capsys, monkeypatch):
    write_csv(tmp_path / "fer2013.csv", ROWS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ciao-stream", "data", "check", "."])
    assert cli.main() == 0
    (out,) = (tmp_path / "runs").iterdir()
    assert out.name.startswith("data-check-")
    assert json.loads((out / "check.json").read_text())["images"] == 42
    assert f"report: runs/{out.name}/check.json" in capsys.readouterr().out


def test_control_characters_in_file_names_are_escaped():
    assert printable("a\x1b[31m\udcffé") == r"a\x1b[31m\udcffé"


@pytest.mark.parametrize("argv", [["--help"], ["check", "--help"]])
def test_help_takes_less_than_half_a_second_and_loads_nothing_heavy(argv):
    seconds = []
    for flags in (["-v"], [], []):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, *flags, "-m", "ciao_stream.data", *argv]
        done = subprocess.run(command, capture_output=True, text=True, env=sequences.environment(), check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        imported = {line.split("'")[1] for line in done.stderr.splitlines() if line.startswith("import '")}
        assert "check" in done.stdout
        assert not imported & {"torch", "numpy", "rich", "cv2", "imagehash"}
    assert min(seconds) < 0.5


# --- processes -------------------------------------------------------------------------------------------------------


def scanned(task):
    images = UniqueImages()
    for split in task.splits():
        images.add(split)
    progress = []
    return *scan(images, progress.append), progress, images


def test_every_image_is_decoded_once_in_other_processes(tmp_path, processes):  # noqa: ARG001
    n = CHUNK + 30
    summaries, problems, progress, images = scanned(made_task(tmp_path, n=n))
    log = [path.name.partition(".") for path in tmp_path.iterdir()]
    assert sorted(name for _, _, name in log) == sorted(
        f"{s}.{i}" for s in ("train", "validation", "test") for i in range(n)
    )
    assert str(os.getpid()) not in {process for process, _, _ in log}
    assert {path.read_text() for path in tmp_path.iterdir()} == {"True"}
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert summaries["readable"].all()
    assert problems == {}
    assert sum(progress) == len(images) == 3 * n
    assert len(np.unique(summaries["digest"])) == 3 * n


def test_the_death_of_a_worker_is_reported(tmp_path, processes):  # noqa: ARG001
    with pytest.raises(CiaoError, match=r"a process that decodes images died: .*: from train 0 to train 3"):
        scanned(made_task(tmp_path, deadly=True))


def start_slow_check(tmp_path):
    """Start a slow check in its own process group, and wait until it decodes images."""
    log = tmp_path / "log"
    log.mkdir()
    command = [sys.executable, str(Path(slow_faces.__file__)), str(log), str(tmp_path / "out")]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=sequences.environment(), start_new_session=True
    )
    until = time.monotonic() + 60
    while not any(log.iterdir()):
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.02)
    return process


def test_control_c_leaves_nothing_behind(tmp_path, processes):  # noqa: ARG001
    process = start_slow_check(tmp_path)
    decoded = len(list((tmp_path / "log").iterdir()))
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert len(list((tmp_path / "log").iterdir())) < decoded + 60
    assert errors.rstrip().endswith("interrupted")
    assert "Traceback" not in errors
    assert not (tmp_path / "out").exists()
    assert ended(process.pid)


def ended(group):
    """Return whether all processes of a group end soon."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_workers_end_with_the_process_that_started_them(tmp_path, processes):  # noqa: ARG001
    process = start_slow_check(tmp_path)
    process.kill()
    process.communicate(timeout=60)
    assert ended(process.pid)


# --- real faces ------------------------------------------------------------------------------------------------------


def test_real_faces(check, real_faces, processes):  # noqa: ARG001
    code, document, printed, _ = check(real_faces)
    assert [task["name"] for task in document["tasks"]] == ["fer", "ferplus"]
    assert document["images"] == 600
    assert document["unreadable"] == []
    assert code == (1 if any(entry["leak"] for entry in document["overlaps"]) else 0)
    assert all(entry["faces"] <= 5 for entry in document["overlaps"])
    assert "ferplus shares" in printed


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["chek"], "error: argument COMMAND: expected one of check, weights but got 'chek': did you mean check?"),
        (["check", "D", "--tsks", "fer"], "error: unknown option --tsks: did you mean --tasks?"),
    ],
)
def test_a_misspelt_command_or_option_is_one_line(argv, line, capsys):
    with pytest.raises(SystemExit):
        data.main(argv)
    error = capsys.readouterr().err
    assert error.startswith(line)
    assert error.count("\n") == 1
