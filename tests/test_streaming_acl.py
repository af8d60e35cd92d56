"""Each role may do its work on a real server, and nothing else."""

from dataclasses import replace

import pytest
import redis
from redis_server import running
from stream_messages import frame

from ciao_stream.exceptions import CiaoError
from ciao_stream.streaming.acl import ROLES, rules, set_user
from ciao_stream.streaming.append import Appender
from ciao_stream.streaming.log import FrameLog
from ciao_stream.streaming.names import StreamNames
from ciao_stream.streaming.positions import START

PASSWORD = "a long enough password"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("redis"), fsync="everysec") as server:
        with server.client() as client:
            for role in ROLES:
                set_user(client, role, PASSWORD, role)
        yield server


@pytest.fixture
def as_role(server):
    clients = []

    def connect(role):
        clients.append(replace(server.address, username=role, password=PASSWORD).reader())
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def test_every_role_can_do_its_work(server, as_role):
    def address(role):
        return replace(server.address, username=role, password=PASSWORD)

    appender, log = Appender(address("producer")), FrameLog(address("learner"))
    with server.client() as client:
        client.script_flush()
    positions = [appender.append(frame(number)) for number in range(3)]
    assert len(log.resync("9000000000000-0")) == 1
    log.resync(START)
    log.resync(positions[0])
    assert [entry.position for entry in log.read(5, 1)] == positions[1:]
    log.dead_letter(positions[1], "corrupt", "text", frame(1))
    log.ack(positions)
    assert log.trim(positions[1]) == 1
    assert log.length() == 2
    log.lag()
    viewer = as_role("viewer")
    assert len(viewer.xrange("frames:dead")) == len(viewer.xread({"frames": positions[1]})[0][1]) == 1
    assert viewer.xinfo_stream("frames")["length"] == 2
    appender.close()
    log.close()


FORBIDDEN = {
    "producer": ["XRANGE frames - +", "DEL frames", "XTRIM frames MAXLEN 0", "GET other", "XADD other * a 1", "KEYS *",
                 "FLUSHALL", "CONFIG GET *", "XADD frames:dead * a 1", "ACL LIST", "PUBLISH x y"],
    "learner": ["DEL frames", "EVAL return(1) 0", "XRANGE frames:dead - +", "XRANGE other - +", "SET frames:seen:x 1",
                "FLUSHALL", "CONFIG GET *", "XGROUP DESTROY frames learner", "KEYS *", "SHUTDOWN"],
    "viewer": ["XADD frames * a 1", "XTRIM frames MAXLEN 0", "GET frames:seen:x", "DEL frames", "XRANGE other - +",
               "XREADGROUP GROUP learner c STREAMS frames >", "FLUSHALL", "EVAL return(1) 0", "MONITOR"],
}  # fmt: skip


@pytest.mark.parametrize(("role", "command"), [(role, command) for role in ROLES for command in FORBIDDEN[role]])
def test_no_role_can_do_anything_else(as_role, role, command):
    with pytest.raises(redis.ResponseError, match=r"(?i)permission"):
        as_role(role).execute_command(*command.split())


def test_a_user_made_anew_has_no_rights_of_before(server):
    with server.client() as client:
        client.execute_command("ACL SETUSER", "ada", "on", "nopass", "~*", "+@all")
        set_user(client, "ada", PASSWORD, "viewer", StreamNames("left"))
        user = client.execute_command("ACL GETUSER", "ada")
        text = str(user)
    assert "nopass" not in text
    assert "left:dead" in text
    assert "+@all" not in text


def test_commands_that_a_server_lacks_are_left_out():
    assert "+client|setinfo" in rules("viewer")
    assert "+client|setinfo" not in rules("viewer", known=frozenset({"ping", "xrange"}))


def test_bad_roles_and_short_passwords_are_refused(server):
    with pytest.raises(CiaoError, match="unknown role 'lerner': did you mean 'learner'"):
        rules("lerner")
    with server.client() as client, pytest.raises(CiaoError, match="16 characters"):
        set_user(client, "ada", "short", "viewer")
