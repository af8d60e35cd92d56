import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.atomic import open_for_replace, write_bytes, write_text
from tests.helpers import ROOT

OLD = b"old and whole"


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "results.json"
    path.write_bytes(OLD)
    return path


def only(path):
    """Whether ``path`` is alone in its folder: no temporary was left behind."""
    return [entry.name for entry in path.parent.iterdir()] == [path.name]


def child(code, *arguments, prefix=(), **options):
    """Start a Python child that can import the package."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [*prefix, sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_writes_replaces_and_makes_folders(tmp_path):
    path = tmp_path / "a" / "b" / "table.md"
    write_text(path, "größer\n")
    assert path.read_bytes() == "größer\n".encode()
    write_bytes(path, b"\x00new")
    assert path.read_bytes() == b"\x00new"
    assert only(path)


def test_mode_follows_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        write_bytes(tmp_path / "file", b"")
    finally:
        os.umask(old)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_link_is_followed(target, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(target)
    write_bytes(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_readers_see_the_old_file_until_the_block_ends(target):
    with open_for_replace(target) as file:
        file.write(b"new")
        file.flush()
        assert target.read_bytes() == OLD
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt(), OSError(errno.ECONNRESET, "reset")])
def test_any_error_keeps_the_old_file_and_passes_through(target, error):
    def fill():
        with open_for_replace(target) as file:
            file.write(b"half")
            raise error

    with pytest.raises(type(error)) as caught:
        fill()
    assert caught.value is error
    assert target.read_bytes() == OLD
    assert only(target)


def test_trouble_with_another_file_is_not_blamed_on_this_one(target, tmp_path):
    with pytest.raises(NotADirectoryError), open_for_replace(target):
        (tmp_path / "results.json" / "other").read_bytes()
    assert target.read_bytes() == OLD


def test_a_path_below_a_file_is_refused(target):
    with pytest.raises(CiaoError, match=r"cannot write .*results\.json/x/y: a part of the path is a file"):
        write_bytes(target / "x" / "y", b"")
    with pytest.raises(CiaoError, match="a part of the path is a file"):
        write_bytes(target / "x", b"")


def test_folders_and_devices_are_refused(tmp_path):
    for path in (tmp_path, "/dev/null"):
        with pytest.raises(CiaoError, match="not a regular file"):
            write_bytes(path, b"")
    assert Path("/dev/null").is_char_device()


def test_a_folder_that_forbids_writing_is_refused(tmp_path):
    if os.geteuid() != 0:
        tmp_path.chmod(0o500)
        folder = tmp_path
    else:  # root may write anywhere, save where the kernel keeps the folder
        folder = Path("/proc/sys/kernel")
    with pytest.raises(CiaoError, match=r"^cannot write .*ciao_stream_test: .*choose .*folder[^\n]*$"):
        write_bytes(folder / "ciao_stream_test", b"")


KILLED = """
import sys
from ciao_stream.runtime.atomic import open_for_replace
with open_for_replace(sys.argv[1]) as file:
    for _ in range(10_000_000):
        file.write(b"x" * 65536)
        file.flush()
        print("writing", flush=True)
"""


def test_kill_9_in_the_middle_keeps_the_old_file(target):
    with child(KILLED, target) as writer:
        for _ in range(20):
            assert writer.stdout.readline() == b"writing\n"
        writer.kill()
        writer.wait()
    assert writer.returncode == -signal.SIGKILL
    assert target.read_bytes() == OLD
    left = [path for path in target.parent.iterdir() if path != target]
    assert [path.match(".results.json.*.tmp") for path in left] == [True]
    write_bytes(target, b"new")
    assert target.read_bytes() == b"new"


FULL = """
import pathlib, sys
from ciao_stream.runtime.atomic import write_bytes
from ciao_stream.exceptions import CiaoError
target = pathlib.Path(sys.argv[1])
write_bytes(target, b"old and whole")
try:
    write_bytes(target, b"x" * 4_000_000)
except CiaoError as error:
    print(error)
assert target.read_bytes() == b"old and whole"
assert [path.name for path in target.parent.iterdir()] == [target.name]
"""


def test_a_file_over_the_limit_keeps_the_old_one(tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    path = tmp_path / "only" / "results.json"
    with child(FULL, path, preexec_fn=limit) as writer:
        out, err = writer.communicate(timeout=30)
    assert (writer.returncode, err) == (0, b"")
    assert out.decode().count("\n") == 1
    assert f"cannot write {path}: the file would be larger" in out.decode()


def test_a_full_disk_keeps_the_old_file(tmp_path):
    mount = 'mount -t tmpfs -o size=1m none "$0" && exec "$@"'
    prefix = ["unshare", "-rm", "sh", "-c", mount, str(tmp_path)]
    if shutil.which("unshare") is None or subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("no private mounts on this machine")
    with child(FULL, tmp_path / "results.json", prefix=prefix) as writer:
        out, err = writer.communicate(timeout=30)
    assert (writer.returncode, err) == (0, b"")
    assert "the disk is full" in out.decode()
