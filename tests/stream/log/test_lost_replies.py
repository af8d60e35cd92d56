"""The reply to each command is lost once, in two ways, and no entry is lost or repeated."""

import pytest
import redis

from ciao_stream.stream.log.append import Appender
from ciao_stream.stream.log.connection import UnreachableError
from ciao_stream.stream.log.dead import dead_letters
from ciao_stream.stream.log.keys import START
from ciao_stream.stream.log.log import FrameLog
from tests.helpers.redis_proxy import between
from tests.helpers.sent_messages import busy
from tests.helpers.stream_messages import frame

TIMEOUT_S = 0.3 * busy()


@pytest.fixture
def proxy(server):
    with between(server.socket) as proxy:
        yield proxy


@pytest.fixture
def log(proxy, names):
    log = FrameLog(proxy.address, names, timeout_s=TIMEOUT_S)
    yield log
    log.close()


either_way = pytest.mark.parametrize("silent", [False, True], ids=["closed", "silent"])


def read_on(log, watermark):
    """Read to the end as the learner does: after an error, from the last entry that was applied."""
    log.resync(watermark)
    applied, errors = [], 0
    while True:
        try:
            page = log.read(2, 50)
        except UnreachableError:
            errors += 1
            log.resync(applied[-1] if applied else watermark)
            continue
        if not page:
            return applied, errors
        applied += [entry.position for entry in page]


@either_way
@pytest.mark.parametrize("command", ["EVALSHA", "LOAD"])
def test_a_frame_whose_reply_was_lost_is_appended_once(server, proxy, names, command, silent):
    appender = Appender(proxy.address, names, timeout_s=TIMEOUT_S)
    with server.client() as client:
        client.script_flush()
        before = [] if command == "LOAD" else [appender.append(frame(0))]
        proxy.lose_reply(command, silent)
        positions = [*before, *[appender.append(frame(number)) for number in range(len(before), 3)]]
        assert proxy.lost == 1
        assert [position.decode() for position, _ in client.xrange(names.stream)] == positions
    appender.close()


def test_control_a_repeated_plain_xadd_appends_twice(server, proxy, names):
    """Redis-py repeats commands by default from version 6 on; the test setup can show it."""
    with proxy.address.client(TIMEOUT_S) as client, server.client() as direct:
        client.xadd(names.stream, {"n": 0})
        proxy.lose_reply("XADD")
        client.xadd(names.stream, {"n": 1})
        assert proxy.lost == 1
        assert [fields for _, fields in direct.xrange(names.stream)] == [{b"n": b"0"}, {b"n": b"1"}, {b"n": b"1"}]


def test_control_a_repeated_read_skips_the_lost_entries(proxy, names, appender):
    positions = [appender.append(frame(number)) for number in range(4)]
    with proxy.address.client(TIMEOUT_S) as client:
        client.xgroup_create(names.stream, "g", START)
        proxy.lose_reply("XREADGROUP")
        ((_, entries),) = client.xreadgroup("g", "c", {names.stream: ">"}, count=2)
    assert [position.decode() for position, _ in entries] == positions[2:]


@either_way
def test_entries_whose_reply_was_lost_are_read_again_in_order(proxy, log, appender, silent):
    positions = [appender.append(frame(number)) for number in range(7)]
    assert read_on(log, positions[0]) == (positions[1:], 0)
    log.resync(positions[0])
    proxy.lose_reply("XREADGROUP", silent)
    applied, errors = read_on(log, positions[0])
    assert (applied, errors, proxy.lost) == (positions[1:], 1, 1)


@either_way
def test_the_check_of_a_reads_order_may_lose_its_reply(proxy, log, appender, silent):
    positions = [appender.append(frame(number)) for number in range(5)]
    log.resync(START)
    proxy.lose_reply("XRANGE", silent)
    assert read_on(log, START) == (positions, 0)
    assert proxy.lost == 1


@either_way
@pytest.mark.parametrize("command", ["CREATE", "SETID", "XINFO", "XSETID", "XPENDING", "XACK"])
def test_resync_works_although_a_reply_is_lost(server, proxy, log, names, appender, command, silent):
    positions = [appender.append(frame(number)) for number in range(6)]
    watermark = positions[2]
    if command == "XSETID":
        watermark = "9000000000000-0"
    elif command != "CREATE":  # else the group must be created
        log.resync(START)
        log.read(5, 1)
    proxy.lose_reply(command, silent)
    incidents = log.resync(watermark)
    assert proxy.lost == 1
    assert len(incidents) == (command == "XSETID")
    positions.append(appender.append(frame(6)))
    expected = positions[6:] if command == "XSETID" else positions[3:]
    applied, errors = read_on(log, watermark)
    assert (applied, errors) == (expected, 0)
    log.ack(applied)
    with server.client() as client:
        assert client.xpending(names.stream, names.group)["pending"] == 0


@either_way
def test_acks_trims_and_dead_letters_may_lose_their_reply(server, proxy, log, names, appender, silent):
    positions = [appender.append(frame(number)) for number in range(6)]
    log.resync(START)
    log.read(6, 1)
    with server.client() as client:
        proxy.lose_reply("XACK", silent)
        log.ack(positions)
        assert client.xpending(names.stream, names.group)["pending"] == 0
        proxy.lose_reply("XADD", silent)
        log.dead_letter(positions[1], "corrupt", "text", frame(1))
        log.dead_letter(positions[3], "corrupt", "text", frame(3))
        proxy.lose_reply("XRANGE", silent)
        assert [letter.position for letter in dead_letters(log.address, names)] == [positions[1], positions[3]]
        proxy.lose_reply("XTRIM", silent)
        log.trim(positions[4])
        assert [position.decode() for position, _ in client.xrange(names.stream)] == positions[4:]
        proxy.lose_reply("XLEN", silent)
        assert log.length() == 2
        proxy.lose_reply("XINFO", silent)
        assert log.lag() in (0, None)
    assert proxy.lost == 6


def test_a_server_that_stays_away_is_unreachable_within_a_limit(server, names):
    with between(server.socket) as proxy:
        log = FrameLog(proxy.address, names, timeout_s=TIMEOUT_S)
        log.resync(START)
    proxy.lose_reply("XREADGROUP")
    with pytest.raises(UnreachableError):
        log.read(1, 10)
    with pytest.raises(UnreachableError):
        log.length()
    log.close()


def test_a_lost_reply_is_a_connection_error_or_a_timeout(proxy):
    for silent, error in ((False, redis.ConnectionError), (True, redis.TimeoutError)):
        client = proxy.address.reader(TIMEOUT_S)
        client.ping()
        proxy.lose_reply("PING", silent)
        with pytest.raises(error):
            client.ping()
        client.close()
