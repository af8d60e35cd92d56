"""Each role may do its work on a real server, and nothing else."""

from dataclasses import replace

import pytest
import redis

from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.task import TaskSpec
from ciao_stream.stream.commands.label import newest_frame
from ciao_stream.stream.log.acl import ROLES, rules, set_user
from ciao_stream.stream.log.append import Appender
from ciao_stream.stream.log.feed import FrameFeed
from ciao_stream.stream.log.keys import START, StreamNames
from ciao_stream.stream.log.log import FrameLog
from ciao_stream.stream.publish.publisher import Publisher
from tests.helpers.redis_server import running
from tests.helpers.stream_messages import frame, late_label

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
    labeler = Appender(address("labeler"))
    labeler.append(late_label())
    assert newest_frame(address("labeler"), StreamNames(), "fer") == "f2"
    assert as_role("producer").time()
    viewer = as_role("viewer")
    assert len(viewer.xrange("frames:dead")) == 1
    assert len(viewer.xread({"frames": positions[1]})[0][1]) == 2
    assert viewer.xinfo_stream("frames")["length"] == 3
    for one in (appender, labeler, log):
        one.close()


def test_a_producer_with_older_rules_that_forbid_time_still_publishes(server):
    with server.client() as client:
        set_user(client, "old", PASSWORD, "producer", StreamNames("old"))
        client.execute_command("ACL SETUSER", "old", "-time")
        address = replace(server.address, username="old", password=PASSWORD)
        spec = TaskSpec("fer", "categorical", ("calm", "glad"))
        assert Publisher(lambda: address, "clip", spec, names=StreamNames("old")).run([]).known == 0
        assert client.xlen("old") == 1


@pytest.mark.parametrize("group", [None, "robots"])
def test_a_predictor_can_do_its_work(server, group):
    names = StreamNames(group or "alone")
    with server.client() as client:
        set_user(client, "reader", PASSWORD, "predictor", names)
        address = replace(server.address, username="reader", password=PASSWORD)
        feed = FrameFeed(lambda: address, names, start=START, group=group, claim_s=0.0)
        feed.read(1, 1)
        positions = [client.xadd(names.stream, frame(number)).decode() for number in range(3)]
        left = []
        if group is not None:  # by one that died
            left = [client.xreadgroup(group, "dead", {names.stream: ">"}, count=1)[0][1][0][0].decode()]
        entries = []
        while len(entries) < 3:
            page = feed.read(5, 10)
            feed.publish(page, ["{}"] * len(page))
            entries += page
        assert [entry.position for entry in entries] == [*left, *positions[len(left) :]]
        assert client.xlen(names.results) == 3
        feed.leave()
        if group is not None:
            assert [consumer["name"] for consumer in client.xinfo_consumers(names.stream, group)] == [b"dead"]


FORBIDDEN = {
    "labeler": ["XREADGROUP GROUP learner c STREAMS frames >", "XADD frames:results * a 1", "XTRIM frames MAXLEN 0"],
    "predictor": ["XADD frames * a 1", "XADD frames:dead * a 1", "XTRIM frames MAXLEN 0", "SET frames:seen:x 1",
                  "XGROUP SETID frames learner 0", "XGROUP DESTROY frames learner", "XSETID frames 9-9",
                  "XDEL frames 1-1", "XRANGE frames:dead - +", "XRANGE frames:results - +", "EVAL return(1) 0",
                  "DEL frames:results", "XREAD STREAMS other 0", "XADD other:results * a 1", "GET frames:seen:x"],
    "producer": ["XRANGE frames - +", "DEL frames", "XTRIM frames MAXLEN 0", "GET other", "XADD other * a 1", "KEYS *",
                 "FLUSHALL", "CONFIG GET *", "XADD frames:dead * a 1", "ACL LIST", "PUBLISH x y"],
    "learner": ["DEL frames", "XADD frames * a 1", "XADD frames:results * a 1", "XCLAIM frames learner c 0 1-1",
                "XGROUP DELCONSUMER frames learner c", "XREAD STREAMS frames 0",
                "EVAL return(1) 0", "XRANGE frames:dead - +", "XRANGE other - +", "SET frames:seen:x 1",
                "FLUSHALL", "CONFIG GET *", "XGROUP DESTROY frames learner", "KEYS *", "SHUTDOWN"],
    "viewer": ["XADD frames * a 1", "XTRIM frames MAXLEN 0", "GET frames:seen:x", "DEL frames", "XRANGE other - +",
               "XREADGROUP GROUP learner c STREAMS frames >", "FLUSHALL", "EVAL return(1) 0", "MONITOR"],
}  # fmt: skip


@pytest.mark.parametrize(("role", "command"), [(role, command) for role in ROLES for command in FORBIDDEN[role]])
def test_no_role_can_do_anything_else(as_role, role, command):
    with pytest.raises(redis.ResponseError, match=r"(?i)permission"):
        as_role(role).execute_command(*command.split())


def test_a_replaced_user_loses_its_earlier_rights(server):
    with server.client() as client:
        client.execute_command("ACL SETUSER", "ada", "on", "nopass", "~*", "+@all")
        set_user(client, "ada", PASSWORD, "viewer", StreamNames("left"))
        user = client.execute_command("ACL GETUSER", "ada")
        text = str(user)
    assert "nopass" not in text
    assert "left:dead" in text
    assert "+@all" not in text


def test_commands_that_a_server_lacks_are_omitted():
    assert "+client|setinfo" in rules("viewer")
    assert "+client|setinfo" not in rules("viewer", known=frozenset({"ping", "xrange"}))


def test_bad_roles_and_short_passwords_are_refused(server):
    with pytest.raises(CiaoError, match="unknown role 'lerner': did you mean 'learner'"):
        rules("lerner")
    with server.client() as client, pytest.raises(CiaoError, match="16 characters"):
        set_user(client, "ada", "short", "viewer")
