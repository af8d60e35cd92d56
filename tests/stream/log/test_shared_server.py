"""One server for all commands on a folder: the first one starts it, and whoever needs it still starts it again."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.log.server import SharedServer, default_data, find_program, running_at
from tests.helpers import ROOT
from tests.helpers.sent_messages import until

OWNER = (
    "import sys, time, pathlib; from ciao_stream.stream.log.server import SharedServer\n"
    "shared = SharedServer(pathlib.Path(sys.argv[1]))\n"
    "print(shared(), flush=True); time.sleep(60)"
)

pytestmark = pytest.mark.skipif(find_program() is None, reason="no server on this machine")


def kill_server(data, address):
    client = address.client()
    os.kill(client.info("server")["process_id"], signal.SIGKILL)
    client.close()
    until(lambda: running_at(data) is None)


def write(address, key):
    client = address.client()
    client.set(key, 1)
    found = sorted(client.keys())
    client.close()
    return found


def test_the_first_starts_it_the_second_joins_and_what_was_written_stays(tmp_path):
    with SharedServer(tmp_path) as first, SharedServer(tmp_path) as second:
        assert second() == first() == second()
        assert write(first(), "a") == [b"a"]
    assert running_at(tmp_path) is None
    with SharedServer(tmp_path) as third:
        assert write(third(), "b") == [b"a", b"b"]


def test_the_second_goes_on_when_the_first_is_killed(tmp_path):
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with SharedServer(tmp_path) as second:
        try:
            address = owner.stdout.readline().strip()
            assert str(second()) == address
            assert write(second(), "a") == [b"a"]
        finally:
            os.kill(owner.pid, signal.SIGKILL)
            owner.communicate()
        until(lambda: str(second()) != address)  # the old server may still answer for a moment
        assert write(second(), "b") == [b"a", b"b"]


def test_many_that_start_at_once_share_one(tmp_path):
    gate = threading.Barrier(4)
    servers = [SharedServer(tmp_path) for _ in range(4)]
    found = []

    def start(shared):
        gate.wait()
        found.append(shared())

    threads = [threading.Thread(target=start, args=(shared,)) for shared in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for shared in servers:
        shared.__exit__(None, None, None)
    assert len(found) == 4
    assert len(set(map(str, found))) == 1


def test_a_server_that_dies_is_started_again_by_whoever_asks_first(tmp_path):
    with SharedServer(tmp_path) as first, SharedServer(tmp_path) as second:
        lost = first()
        assert write(second(), "a") == [b"a"]
        kill_server(tmp_path, lost)
        assert write(first(), "b") == [b"a", b"b"]
        kill_server(tmp_path, first())
        address = second()
        assert write(address, "c") == [b"a", b"b", b"c"]
        assert first() == second() == address


def test_a_folder_that_cannot_be_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CiaoError, match="cannot start a server on"):
        SharedServer(tmp_path / "file" / "data")()


def test_where_the_data_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_data() == tmp_path / "ciao_stream" / "stream"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/ada")
    assert default_data() == Path("/home/ada/.local/share/ciao_stream/stream")
    monkeypatch.delenv("HOME")
    with pytest.raises(CiaoError, match="--data"):
        default_data()
