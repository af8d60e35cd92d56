"""``python -m ciao_stream.stream``, mostly ``publish``, as its user sees it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from signal import SIGINT, SIGTERM

import numpy as np
import pytest
from PIL import Image as Pillow

from benchmarks.synthetic import load
from ciao_stream import __main__ as cli
from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.command import UNREAD
from ciao_stream.stream import __main__ as stream
from ciao_stream.stream import commands
from ciao_stream.stream.learner.status import FORMAT
from ciao_stream.stream.log.images import read_image
from ciao_stream.stream.log.server import find_program, running_at
from tests.helpers import ROOT
from tests.helpers.redis_server import running
from tests.helpers.sent_messages import PATIENCE_S, busy, contents, data_root_free, headers, until

MODULE = [sys.executable, "-m", "ciao_stream.stream"]

needs_server = pytest.mark.skipif(find_program() is None, reason="no server on this machine")


@pytest.fixture(autouse=True)
def _no_data_root(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))


def started(*argv, home):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*MODULE, *argv], cwd=ROOT, env=data_root_free(os.environ, home), text=True, **pipes)


def done(capsys, *argv):
    """Run the command in this process, and return its exit code, output and messages."""
    try:
        code = stream.main([*map(str, argv)])
    except SystemExit as left:
        code = left.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


# ---- the commands -----------------------------------------------------------------------------------------------


def test_a_module_is_a_command(monkeypatch, tmp_path, capsys):
    (tmp_path / "greet_all.py").write_text(
        "SUMMARY = 'say hello'\n"
        "def add_options(p):\n    p.add_argument('--loud', action='store_true')\n"
        "def run(options):\n    print('HELLO' if options.loud else 'hello', options.stream)\n    return 7\n"
    )
    (tmp_path / "_hidden.py").write_text("raise ImportError")
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
    assert done(capsys, "greet-all", "--loud", "--stream", "left") == (7, "HELLO left\n", "")
    with pytest.raises(SystemExit):
        stream.main(["--help"])
    assert re.search(r"greet-all\s+say hello", capsys.readouterr().out)


def test_an_interrupted_command_prints_how_to_resume(monkeypatch, tmp_path, capsys):
    (tmp_path / "wait.py").write_text(
        "SUMMARY = 'wait'\n"
        "def add_options(p):\n    p.add_argument('--resumes', action='store_true')\n"
        "def run(options):\n    raise KeyboardInterrupt\n"
    )
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
    assert done(capsys, "wait") == (130, "", "interrupted\n")
    assert done(capsys, "wait", "--resumes") == (130, "", "interrupted; resume with: the same command line\n")


def test_a_closed_output_ends_a_command_quietly(monkeypatch, tmp_path, capsys):
    (tmp_path / "chatter.py").write_text(
        "SUMMARY = 'talk'\ndef add_options(p):\n    pass\n"
        "def run(options):\n    print('a line', flush=options.insecure)\n"
    )
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
    for words in ([], ["--insecure"]):
        read, write = os.pipe()
        os.close(read)
        with os.fdopen(write, "w") as unread:
            monkeypatch.setattr(sys, "stdout", unread)
            assert stream.main(["chatter", *words]) == UNREAD
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("argv", [[], ["pubish"], ["publish"], ["publish", "dataset:fer", "--limit", "few"]])
def test_bad_usage_ends_with_code_2(argv, capsys):
    with pytest.raises(SystemExit) as left:
        stream.main(argv)
    assert left.value.code == 2
    assert "error:" in capsys.readouterr().err


BAD = {
    "camera:98 --task fer": "camera 98 cannot be opened",
    "rtsp://me:secret@127.0.0.1:1/x --task fer": "rtsp://127.0.0.1:1/x: no frames received",
    "nowhere --task fer": "source 'nowhere' not found: expected a file, a folder or camera:NUMBER",
    "folder:nowhere --task fer": "there is no such folder",
    "images": "source 'images' has no task: give --task NAME",
    "images --task fir": "unknown task 'fir': did you mean 'fer'?",
    "images --task mood=calm": "expected at least 2 labels",
    "images --task mood=calm,glad --kind vote": "unknown kind of target 'vote': did you mean 'votes'?",
    "images --task fer --labels none": "has no labels",
    "images --task fer --shuffle 1": "are for dataset:TASK: omit them",
    "dataset:fir": "unknown task 'fir': did you mean 'fer'?",
    "dataset:fer --task fer": "has the task 'fer': omit --task",
    "dataset:fer --data-root nowhere": "data root nowhere is not a folder",
    "dataset:fer --split tset": "argument --split: expected one of train, validation, test but got 'tset'",
    "dataset:fer --labels later": "--labels later: expected with, none, or later:N",
    "dataset:fer --labels later:x": "--labels later:x: expected with, none, or later:N",
    "dataset:fer --labels none:3": "--labels none:3: expected with, none, or later:N",
    "dataset:fer --labels later:0": "later: expected a whole number >= 1",
    "dataset:fer --limit 0": "limit: expected a whole number >= 1",
    "dataset:fer --rate 0": "rate: expected a number > 0",
    "dataset:fer --face-crop sometimes": "argument --face-crop: expected one of",
    "dataset:fer --face-crop always --detector har": "unknown face detector 'har': did you mean 'haar'?",
    "dataset:fer --encode gif": "argument --encode: expected one of",
    "dataset:fer --stream a*": "stream or group 'a*': expected letters, digits",
    "dataset:fer --redis http://x": "cannot read the Redis URL",
    "dataset:fer --redis redis://example.org": "unencrypted to another host",
    "dataset:fer --redis redis://localhost --data x": "give one of them",
    "dataset:fer --insecure": "--insecure needs --redis",
    "dataset:fer --data file": "cannot start a server on file",
}


@pytest.mark.parametrize("words", BAD)
def test_bad_input_is_one_line_and_code_2(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    Pillow.fromarray(np.zeros((9, 9), np.uint8)).save("images/a.png")
    Path("file").touch()
    code, out, err = done(capsys, "publish", *words.split())
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert BAD[words] in err
    assert "secret" not in err
    assert not list(tmp_path.glob("home/**/*.aof")), "no server was started"


BEFORE_TORCH = {
    "learn --lr 0.1 --set lr=0.2": "--lr and --set lr= are the same setting: give it once",
    "fleet --streams a --lr 0.1 --set lr=0.2": "--lr and --set lr= are the same setting: give it once",
    "learn --encoder ciao-fase": "unknown encoder 'ciao-fase': did you mean 'ciao-face'?",
    "learn --beside softmx": "beside: expected",
    "learn --preset onlin": "unknown preset 'onlin': did you mean 'online'?",
    "predict --encoder ciao-fase": "unknown encoder 'ciao-fase': did you mean 'ciao-face'?",
    "predict --choose nearest": "argument --choose: expected one of prototype but got 'nearest'",
    "predict --abstain 2": "abstain: expected a number >= 0 and <= 1",
    "predict --worlds a --exported b": "give one of them",
    "predict --exported nowhere": "no world in nowhere: expected one folder per world, each with a world.json",
    "predict --worlds {learner} --only fre": "unknown world 'fre': did you mean 'fer'? (known: fer)",
    "predict --exported {learner}/worlds --only fre": "unknown world 'fre': did you mean 'fer'? (known: fer)",
    "wipe --stream cam --data nowhere": "this deletes all messages and dead letters of stream 'cam', learned or not",
    "wipe --worlds nowhere --yes": "no learner has worked in nowhere: omit --worlds, or correct it",
    "wipe --encoder ciao-fase --yes": "unknown encoder 'ciao-fase': did you mean 'ciao-face'?",
    "undo --worlds nowhere --to 1": "no learner has worked in nowhere: there is nothing to undo",
    "dead --worlds nowhere --replay": "no learner has worked in nowhere: run `learn`, or give its --worlds",
    "status --worlds {learner} --redis redis://127.0.0.1:1": "redis://127.0.0.1:1/0 does not respond",
}
IN_CHILD = """
import contextlib, io, json, sys
from ciao_stream.stream.__main__ import main
for words in json.load(sys.stdin):
    with contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            code = main(words.split())
        except SystemExit as left:
            code = left.code
    print(json.dumps([code, err.getvalue(), "torch" in sys.modules]))
"""


def test_contradictions_and_misspelt_names_are_refused_before_torch_is_loaded(tmp_path):
    world = tmp_path / "worlds" / "copy"
    world.mkdir(parents=True)
    (world / "world.json").write_text(json.dumps({"task": {"name": "fer"}}))
    (tmp_path / "status.json").write_text(json.dumps({"format": FORMAT, "worlds": {"fer": {}}}))
    words = json.dumps([line.format(learner=tmp_path) for line in BEFORE_TORCH])
    child = subprocess.run([sys.executable, "-c", IN_CHILD], input=words, capture_output=True, text=True, cwd=ROOT)
    answers = [json.loads(line) for line in child.stdout.splitlines()]
    assert not Path(ROOT, "nowhere").exists()
    for (words, message), (code, err, torch) in zip(BEFORE_TORCH.items(), answers, strict=True):
        assert (code, torch, err.count("\n")) == (2, False, 1), words
        assert message in err, words


def test_opencv_prints_nothing_next_to_our_line(tmp_path):
    out, err = started("publish", "http://me:secret@127.0.0.1:1/x", "--task", "fer", home=tmp_path).communicate()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("error: source http://127.0.0.1:1/x: no frames")


def test_ciao_stream_knows_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ciao-stream", "stream", "publish", "nowhere"])
    assert cli.main() == 2
    assert "not found: expected" in capsys.readouterr().err


# ---- publishing -------------------------------------------------------------------------------------------------


@needs_server
def test_a_data_set_goes_to_a_private_server_whose_data_stays(tmp_path, capsys):
    data = tmp_path / "home" / "ciao_stream" / "stream"
    code, out, err = done(capsys, "publish", "dataset:ferplus", "--split", "test", "--limit", 4)
    assert (code, "4/4" in err) == (0, True), err
    assert re.fullmatch(
        r"published 4 frames and 4 labels; task 'ferplus' in stream 'frames', as ferplus-test-[0-9a-f]{12}\n", out
    )
    with running(data) as server, server.client() as client:
        declared, sent = headers(client), contents(client)
    test = load("ferplus").test
    assert [(declared[0].task, declared[0].target)] == [("ferplus", "votes")]
    for index, fields in enumerate(sent[1:]):
        np.testing.assert_array_equal(read_image(fields[b"image"]), test.image(index))
    code, out, _ = done(capsys, "publish", "dataset:ferplus", "--split", "test", "--limit", 5, "--stream", "frames")
    assert "published 5 frames and 5 labels (5 messages were sent before)" in out


@needs_server
def test_photographs_in_a_folder_are_cropped_and_those_without_a_face_are_counted(tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    photo = np.full((220, 420, 3), 90, np.uint8)
    Pillow.fromarray(photo).save(folder / "0 blank.png")
    photo[20:116, 10:106] = load("emoreact", train=4, size=96).train.image(0)
    Pillow.fromarray(photo).save(folder / "1 face.png")
    (folder / "2 cut short.png").write_bytes((folder / "1 face.png").read_bytes()[:500])
    argv = ("publish", folder, "--task", "mood=calm,glad", "--data", tmp_path / "data")
    code, out, _ = done(capsys, *argv)
    assert code == 0
    assert "published 1 frames and 0 labels; skipped 1: no face found (first: frame 0: haar finds no face)" in out
    assert "skipped 1: unreadable (first: " in out
    assert "2 cut short.png" in out
    assert done(capsys, *argv, "--face-crop", "never", "--limit", 2)[1].startswith("published 2 frames")
    with running(tmp_path / "data") as server, server.client() as client:
        _, cut, _, whole, _ = contents(client)
        about = headers(client)
    assert read_image(cut[b"image"]).shape[0] < 110
    assert cut[b"image"].startswith(b"\xff\xd8"), "photographs travel as jpeg"
    assert read_image(whole[b"image"]).shape == (151, 288, 3)
    assert (about[0].labels, about[1].label, about[1].camera) == (("calm", "glad"), None, "photos")
    (folder / "1 face.png").unlink()
    code, _, err = done(capsys, *argv)
    hint = "if these are cut to the face already, give --face-crop never"
    assert (code, err.splitlines()[-1]) == (2, f"error: nothing was published: no face found (1 of 2 images): {hint}")


@needs_server
def test_ctrl_c_and_sigterm_end_it_cleanly_with_a_count(tmp_path):
    with running(tmp_path / "data") as server, server.client() as client:
        argv = ("publish", "dataset:fer", "--rate", "20", "--redis", server.url)
        processes = {number: started(*argv, "--stream", number.name, home=tmp_path) for number in (SIGINT, SIGTERM)}
        for number, process in processes.items():
            until(lambda name=number.name: client.xlen(name) >= 4)
            process.send_signal(number)
            before = time.monotonic()
            out, err = process.communicate(timeout=PATIENCE_S)
            assert time.monotonic() - before < 2 * busy()
            assert process.returncode == (130 if number == SIGINT else 0)
            n = int(re.match(r"published (\d+) frames and \1 labels; task 'fer'", out).group(1))
            assert n <= client.xlen(number.name) - 1 <= n + 1, "one more may have been under way"
            assert "Traceback" not in err
            assert ("interrupted; resume with: the same command line" in err) == (number == SIGINT)


@needs_server
def test_a_full_stream_is_reported_once_and_waited_for(tmp_path, capsys):
    lengths = []

    def learner():
        with server.client() as client:
            until(lambda: client.xlen("frames") == 3)
            time.sleep(0.3)
            for _ in range(40):
                lengths.append(client.xlen("frames"))
                client.xtrim("frames", maxlen=0)
                time.sleep(0.05)

    with running(tmp_path / "data") as server:
        thread = threading.Thread(target=learner)
        thread.start()
        argv = ("publish", "dataset:fer", "--limit", 6, "--max-backlog", 3, "--redis", server.url)
        code, out, err = done(capsys, *argv)
        thread.join()
    assert (code, max(lengths)) == (0, 3)
    assert out.startswith("published 6 frames and 6 labels; task")
    assert err.count("waiting: stream 'frames' is full: 3 entries wait") == 1


@needs_server
def test_two_publishers_share_a_server_and_one_outlives_the_other(tmp_path, capsys):
    data = tmp_path / "data"
    first = started("publish", "dataset:fer", "--rate", "15", "--data", str(data), home=tmp_path)

    def kill_the_first():
        client = running_at(data).client()
        before = client.xlen("frames")
        until(lambda: client.xlen("frames") >= before + 20)
        client.close()
        os.kill(first.pid, signal.SIGKILL)
        first.communicate()

    until(lambda: running_at(data) is not None)
    with contextlib.closing(running_at(data).client()) as client:
        until(lambda: client.xlen("frames") >= 3)
    killer = threading.Thread(target=kill_the_first)
    killer.start()
    argv = ("publish", "dataset:jaffe", "--rate", 30, "--limit", 50, "--data", data)
    code, out, err = done(capsys, *argv)
    killer.join()
    assert code == 0, err
    assert out.startswith("published 50 frames and 50 labels; "), out
    assert "does not respond" in err, "the server went with its owner"
    with running(data) as server, server.client() as client:
        producers = [header.producer.split("-")[0] for header in headers(client)]
    assert producers.count("jaffe") == 51
    assert producers.count("fer") > 1


@needs_server
def test_a_source_that_fails_in_the_middle_ends_with_its_line_and_the_count(tmp_path, capsys, monkeypatch):
    def broken(*_):
        raise CiaoError("the disk is gone")

    with running(tmp_path / "data") as server:
        monkeypatch.setattr("benchmarks.synthetic.worlds.SyntheticFaces.read", broken)
        code, out, err = done(capsys, "publish", "dataset:fer", "--redis", server.url)
    assert (code, out.split(";")[0]) == (2, "published 0 frames and 0 labels")
    assert err.endswith("error: the disk is gone\n")
