"""What a newcomer types first: no command, a wrong one, ``--version``; and in a folder with packages of the user's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ciao_stream
from ciao_stream.__main__ import COMMANDS, EXAMPLE
from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.ray_cluster import ray_cluster
from tests.helpers import ROOT

MODULE = [sys.executable, "-m", "ciao_stream"]
SCRIPT = [str(Path(sys.executable).with_name("ciao-stream"))]
BOTH = pytest.mark.parametrize("door", [MODULE, SCRIPT], ids=["python -m", "ciao-stream"])


def run(argv, cwd=ROOT):
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONSAFEPATH", "PYTHONPATH")}
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, env=environment)


@BOTH
def test_without_a_command_all_are_listed_with_an_example(door):
    done, *helped = run(door), run([*door, "--help"]), run([*door, "help"])
    assert (done.returncode, done.stderr) == (0, "")
    assert [one.stdout for one in helped] == [done.stdout] * 2
    shown = "ciao-stream" if door is SCRIPT else "python -m ciao_stream"
    assert f"example: {shown} {EXAMPLE}" in done.stdout
    for name, what in COMMANDS.items():
        assert f"  {name:12}{what}\n" in done.stdout
        assert (ROOT / "ciao_stream" / name / "__main__.py").exists()


@BOTH
def test_the_version(door):
    done = run([*door, "--version"])
    assert (done.returncode, done.stdout) == (0, f"ciao-stream {ciao_stream.__version__}\n")


@BOTH
def test_an_unknown_command_is_answered_in_one_line(door):
    done = run([*door, "bencmark"])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: unknown command 'bencmark': did you mean 'benchmark'? (known: benchmark, ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("own", ["strategies/__init__.py", "benchmarks/__init__.py", "tuning.py"])
def test_a_package_of_the_user_s_own_in_the_current_folder_is_named_and_the_script_works_there(tmp_path, own):
    (tmp_path / own).parent.mkdir(exist_ok=True)
    (tmp_path / own).write_text("raise SystemExit('a package of the user was run')")
    for command in ("", ".benchmark", ".stream"):
        done = run([*MODULE[:2], f"ciao_stream{command}", "--help"], cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        name = own.removesuffix("/__init__.py")
        assert done.stderr.startswith(f"error: {tmp_path / name} hides the package {name.split('.')[0]!r}")
        assert "run from another folder, or use `ciao-stream NAME`" in done.stderr
        assert done.stderr.count("\n") == 1
    done = run([*SCRIPT, "benchmark", "--help"], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ferplus" in done.stdout


def test_the_user_s_own_program_may_have_such_a_package(tmp_path):
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "__init__.py").touch()
    (tmp_path / "robot").mkdir()
    (tmp_path / "robot" / "__init__.py").write_text("import ciao_stream")
    (tmp_path / "robot" / "__main__.py").write_text("print('runs')")
    assert run([sys.executable, "-m", "robot"], cwd=tmp_path).stdout == "runs\n"


def test_ray_s_workers_look_in_the_current_folder_first_so_that_it_is_refused(tmp_path, monkeypatch):
    (tmp_path / "strategies.py").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CiaoError, match=r"strategies\.py hides the package 'strategies'"), ray_cluster(""):
        pass
