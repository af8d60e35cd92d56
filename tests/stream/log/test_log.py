"""The stream on a real server: messages are appended once and read in order, and losses are noticed."""

import socket
import threading
import time

import pytest
import redis

from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.learner.counters import SequenceTracker
from ciao_stream.stream.log.append import Appender, BacklogError
from ciao_stream.stream.log.connection import CursorLostError, RedisFullError, UnreachableError
from ciao_stream.stream.log.images import write_image
from ciao_stream.stream.log.keys import START, StreamNames, entries_of, order
from ciao_stream.stream.log.log import FrameLog, Trouble
from ciao_stream.stream.log.messages import decode, origin_of
from ciao_stream.stream.log.refusals import BadMessage
from tests.helpers.redis_server import running
from tests.helpers.stream_messages import FER, TASKS, declaration, face, frame, late_label


def read_all(log):
    entries = []
    while page := log.read(2, 1):
        entries += page
    return [entry.position for entry in entries]


def test_messages_are_read_in_order_and_unchanged(appender, log):
    messages = [declaration(FER), *[frame(number) for number in range(1, 6)], late_label(0)]
    positions = [appender.append(message) for message in messages]
    assert positions == sorted(positions, key=order)
    assert log.resync(START) == ()
    entries = [*log.read(3, 1), *log.read(100, 1)]
    assert [(entry.position, entry.fields) for entry in entries] == list(zip(positions, messages, strict=True))
    assert [decode(entry.position, entry.fields, TASKS).position for entry in entries] == positions
    assert log.read(1, 1) == []


def test_a_message_is_appended_once_however_often_it_is_sent(appender, client, names):
    first = appender.append(frame(1))
    assert [appender.append(frame(1)) for _ in range(3)] == [first] * 3
    assert appender.append(late_label(1)) == appender.append(late_label(1)) != first
    assert client.xlen(names.stream) == 2
    assert 3500 < client.ttl(names.seen("frame:f1")) <= 3600


def test_an_id_used_for_something_else_is_refused(appender, client, names):
    first = appender.append(frame(1, label="fear"))
    for other in (frame(1, label="anger"), frame(1, image=write_image(face(9)))):
        with pytest.raises(BadMessage, match=f"'frame:f1' is at {first} with another frame or label") as refusal:
            appender.append(other)
        assert refusal.value.reason == "duplicate_id"
    assert client.xlen(names.stream) == 1


def test_a_malformed_message_is_refused_by_the_producer(appender, client, names):
    with pytest.raises(BadMessage):
        appender.append({**frame(), b"sha256": b""})
    assert client.exists(names.stream) == 0


def test_a_full_stream_pushes_back_until_the_learner_has_applied_something(appender, log, client, names):
    positions = [appender.append(frame(number)) for number in range(50)]
    with pytest.raises(BacklogError, match="50 entries wait for the learner"):
        appender.append(frame(50))
    assert appender.append(frame(49)) == positions[-1], "what is in already is still answered"
    log.resync(START)
    entries = log.read(3, 1)
    with pytest.raises(BacklogError):
        appender.append(frame(50))
    log.ack(entry.position for entry in entries)
    assert [order(appender.append(frame(number))) > order(positions[-1]) for number in (50, 51, 52)] == [True] * 3
    with pytest.raises(BacklogError):
        appender.append(frame(53))
    assert client.xlen(names.stream) == 53


def test_entries_kept_behind_the_learner_are_not_backlog(appender, log, client, names):
    log.resync(START)
    for number in range(0, 200, 40):
        positions = [appender.append(frame(number)) for number in range(number, number + 40)]
        log.ack(read_all(log))
    assert client.xlen(names.stream) == 200
    log.resync(positions[9])  # as after a restart, where Redis does not know how many are unread
    with pytest.raises(BacklogError):
        appender.append(frame(200))
    log.ack(read_all(log))
    for number in range(200, 250):
        appender.append(frame(number))
    with pytest.raises(BacklogError, match="is full: 50 entries wait for the learner"):
        appender.append(frame(250))


def test_entries_that_wait_for_another_group_are_backlog_and_the_group_is_named(appender, log, client, names):
    client.xgroup_create(names.stream, "robots", START, mkstream=True)
    log.resync(START)
    for number in range(50):
        appender.append(frame(number))
    log.ack(read_all(log))
    with pytest.raises(BacklogError, match=r"of group 'robots': start some, or .*`drop-group robots`"):
        appender.append(frame(50))
    client.xgroup_destroy(names.stream, "robots")
    appender.append(frame(50))


def test_the_log_can_be_read_again_from_any_position(appender, log):
    positions = [appender.append(frame(number)) for number in range(6)]
    log.resync(START)
    assert read_all(log) == positions
    for start in (3, 0, 5):
        assert log.resync(positions[start]) == ()
        assert read_all(log) == positions[start + 1 :]


def test_acks_lost_by_a_crash_are_repeated_and_nothing_stays_pending(appender, log, client, names):
    positions = [appender.append(frame(number)) for number in range(6)]
    log.resync(START)
    log.read(4, 1)
    log.resync(positions[1])
    assert client.xpending(names.stream, names.group)["pending"] == 2, "the two after the watermark will be read again"
    log.ack(read_all(log))
    assert client.xpending(names.stream, names.group)["pending"] == 0
    log.ack([])


def test_a_read_waits_for_the_next_entry(appender, log):
    log.resync(START)
    threading.Timer(0.2, appender.append, [frame()]).start()
    assert len(log.read(10, 2000)) == 1


@pytest.mark.parametrize(("count", "block_ms"), [(0, 100), (1, 0), (1, 2501)])
def test_a_read_that_would_block_for_ever_or_beyond_the_timeout_is_refused(log, count, block_ms):
    log.resync(START)
    with pytest.raises(CiaoError, match="expected a count >= 1 and a wait of 1 to 2500 ms"):
        log.read(count, block_ms)


def test_nothing_is_read_before_the_cursor_is_set(log):
    with pytest.raises(CursorLostError, match="resync first"):
        log.read(1, 1)
    with pytest.raises(CiaoError, match="'17' is not a position"):
        log.resync("17")


@pytest.mark.parametrize("name", ["a b", "", "frames*", "frames\n", "ü"])
def test_a_stream_whose_name_could_be_a_pattern_is_refused(name):
    with pytest.raises(CiaoError, match="letters, digits"):
        StreamNames(name)


def test_a_frame_taken_by_a_broken_connection_is_noticed_and_read_again(server, appender, log, names):
    """The server may still serve a reader whose connection broke, and give it the next entry."""
    first = appender.append(frame(0))
    log.resync(first)
    with socket.socket(socket.AF_UNIX) as forgotten:
        forgotten.connect(str(server.socket))
        line = f"XREADGROUP GROUP {names.group} learner COUNT 1 BLOCK 5000 STREAMS {names.stream} >\r\n"
        forgotten.sendall(line.encode())
        time.sleep(0.1)
        positions = [appender.append(frame(number)) for number in (1, 2)]
        with pytest.raises(CursorLostError, match=f"entries after {first} went to another reader"):
            log.read(10, 100)
    with pytest.raises(CursorLostError, match="resync first"):
        log.read(10, 1)
    log.resync(first)
    assert read_all(log) == positions


def test_a_deleted_entry_is_counted_as_lost_once(appender, log, client, names):
    positions = [appender.append(frame(number)) for number in range(5)]
    client.xdel(names.stream, positions[2])
    incidents = log.resync(positions[0])
    tracker = SequenceTracker()
    tracker.see("camera", 0)
    steps = [tracker.see(*origin_of(entry.fields)) for entry in log.read(10, 1)]
    assert tracker.lost == 1
    assert [step.lost for step in steps] == [0, 1, 0]
    if "max-deleted-entry-id" in client.xinfo_stream(names.stream):
        assert [incident.trouble for incident in incidents] == [Trouble.DELETED]
        assert positions[2] in incidents[0].text


def test_a_wiped_stream_is_noticed_while_reading_and_resumes_after_the_watermark(appender, log, client, names):
    watermark = "9000000000000-5"  # where a clock that was ahead has led
    client.xadd(names.stream, frame(0), id=watermark)
    log.resync(watermark)
    timer = threading.Timer(0.2, client.delete, [names.stream])
    timer.start()
    with pytest.raises(CursorLostError, match="was removed"):
        log.read(1, 2000)
    timer.join()
    (incident,) = log.resync(watermark)
    assert incident.trouble == Trouble.WIPED
    assert watermark in incident.text
    assert log.resync(watermark) == (), "it is reported once"
    position = appender.append(frame(1))
    assert order(position) > order(watermark), "the clock is behind, positions are not"
    assert read_all(log) == [position]


def test_positions_increase_although_the_clock_was_set_back(appender, log, client, names):
    ahead = "9000000000000-0"
    client.xadd(names.stream, frame(0), id=ahead)
    positions = [ahead, *[appender.append(frame(number)) for number in (1, 2)]]
    assert positions == sorted(positions, key=order)
    log.resync(START)
    assert read_all(log) == positions


def test_a_lost_tail_is_noticed_and_skipped(appender, log):
    last = appender.append(frame(0))
    watermark = f"{order(last)[0] + 60_000}-0"
    (incident,) = log.resync(watermark)
    assert incident.trouble == Trouble.TAIL_LOST
    assert last in incident.text
    position = appender.append(frame(1))
    assert order(position) > order(watermark)
    assert read_all(log) == [position]


def test_a_frame_that_arrives_while_a_lost_tail_is_skipped_is_not_lost(appender, log, client, monkeypatch):
    appender.append(frame(0))
    watermark = "9000000000000-0"
    look = log._client.xinfo_stream

    def look_and_be_overtaken(stream):
        state = look(stream)
        client.xadd(stream, frame(1), id="9000000000000-1")
        return state

    monkeypatch.setattr(log._client, "xinfo_stream", look_and_be_overtaken)
    log.resync(watermark)
    assert read_all(log) == ["9000000000000-1"]


def test_trimming_by_others_is_noticed(appender, log, client, names):
    positions = [appender.append(frame(number)) for number in range(10)]
    log.resync(START)
    log.ack(entry.position for entry in log.read(3, 1))
    client.xtrim(names.stream, maxlen=2, approximate=False)
    (incident,) = log.resync(positions[2])
    assert incident.trouble == Trouble.TRIMMED
    assert positions[2] in incident.text
    tracker = SequenceTracker()
    for number in range(3):
        tracker.see("camera", number)
    for entry in log.read(10, 1):
        tracker.see(*origin_of(entry.fields))
    assert tracker.lost == 5
    client.xtrim(names.stream, maxlen=0)
    assert [incident.trouble for incident in log.resync(positions[-1])] == [Trouble.TRIMMED]


def test_our_own_trimming_is_not_an_incident(appender, log):
    positions = [appender.append(frame(number)) for number in range(5)]
    log.resync(START)
    log.ack(read_all(log))
    assert log.trim(positions[4]) == 4
    assert log.trim(positions[4]) == 0
    assert log.resync(positions[4]) == ()
    assert log.length() == 1


def test_entries_that_another_group_needs_are_not_trimmed(appender, log, client, names):
    positions = [appender.append(frame(number)) for number in range(6)]
    client.xgroup_create(names.stream, "archive", START)
    log.resync(START)
    log.ack(read_all(log))
    assert log.trim(positions[5]) == 0
    client.xreadgroup("archive", "a", {names.stream: ">"}, count=4)
    assert log.trim(positions[5]) == 0
    client.xack(names.stream, "archive", *positions[:2])
    assert log.trim(positions[5]) == 2
    client.xack(names.stream, "archive", *positions[2:4])
    assert log.trim(positions[5]) == 1
    assert log.length() == 3


def test_trimming_and_lag_of_a_missing_stream(log):
    assert (log.trim(START), log.lag(), log.length()) == (0, None, 0)


def test_the_lag_counts_unread_entries_and_no_deleted_ones(appender, log, client, names):
    positions = [appender.append(frame(number)) for number in range(6)]
    log.resync(START)
    if log.lag() is None:
        pytest.skip("this server does not tell the lag")
    assert log.lag() == 6
    log.read(2, 1)
    assert log.lag() == 4
    client.xtrim(names.stream, minid=positions[5], approximate=False)
    assert log.lag() in (1, None)


def test_a_full_server_refuses_frames_and_the_learner_can_still_free_it(tmp_path):
    with running(tmp_path / "data", memory_mib=4) as server:
        appender, log = Appender(server.address), FrameLog(server.address)
        log.resync(START)
        image = write_image(face(0, (200, 200)))
        positions = []
        with pytest.raises(RedisFullError, match=r"memory is full.*let the learner catch up, or raise the limit"):
            positions.extend(appender.append(frame(number, image=image)) for number in range(200))
        assert 5 < len(positions) < 150
        with server.client() as client:
            client.config_set("maxmemory", 1)  # not a byte of room
        log.resync(START)
        with pytest.raises(RedisFullError):
            log.dead_letter(positions[0], "corrupt", "text", frame())
        assert [entry.position for entry in log.read(500, 1)] == positions, "none was dropped for another"
        log.ack(positions)
        assert log.trim(positions[-1]) == len(positions) - 1
        with server.client() as client:
            client.config_set("maxmemory", "4mb")
        assert order(appender.append(frame(len(positions), image=image))) > order(positions[-1])
        log.dead_letter(positions[0], "corrupt", "text", frame())
        appender.close()
        log.close()


def test_kill_9_of_the_server_keeps_acknowledged_entries_and_the_log_resumes(tmp_path):
    with running(tmp_path / "data", fsync="everysec") as server:
        appender, log = Appender(server.address), FrameLog(server.address)
        positions = [appender.append(frame(number)) for number in range(20)]
        log.resync(START)
        log.read(5, 1)
        server.kill()
        with pytest.raises(UnreachableError, match="does not respond"):
            log.read(1, 1)
        server.start()
        assert log.resync(positions[3]) == ()
        assert read_all(log) == positions[4:]
        assert appender.append(frame(19)) == positions[19]
        assert order(appender.append(frame(20))) > order(positions[19])
        appender.close()
        log.close()


# ---- replies ----------------------------------------------------------------------------------------------------

ENTRY = (b"1-0", {b"a": b"1"})


@pytest.mark.parametrize(
    ("reply", "positions"),
    [
        ([[b"s", [ENTRY, (b"2-0", {})]]], ["1-0", "2-0"]),
        ([[b"s", [ENTRY]]], ["1-0"]),
        ([[b"s", [(b"1-0", None)]]], ["1-0"]),
        ({b"s": [ENTRY]}, ["1-0"]),
        ({b"s": [[ENTRY, (b"2-0", {})]]}, ["1-0", "2-0"]),
        ([[b"s", []]], []),
        ([], []),
        ({}, []),
        (None, []),
    ],
    ids=str,
)
def test_every_shape_of_a_reply_is_read(reply, positions):
    entries = entries_of(reply)
    assert [entry.position for entry in entries] == positions
    assert all(isinstance(entry.fields, dict) for entry in entries)


@pytest.mark.parametrize("options", [{}, {"protocol": 2}, {"protocol": 3}, {"protocol": 3, "legacy_responses": False}])
def test_the_shapes_that_this_redis_py_returns_are_read(server, appender, names, options):
    positions = [appender.append(frame(number)) for number in range(2)]
    try:
        client = redis.Redis(unix_socket_path=str(server.socket), **options)
    except TypeError:
        pytest.skip("this redis-py has no such option")
    with client:
        client.xgroup_create(names.stream, "g", START)
        entries = entries_of(client.xreadgroup("g", "c", {names.stream: ">"}, count=5))
        assert [entry.position for entry in entries] == positions
        assert entries[1].fields == frame(1)
        assert entries_of(client.xreadgroup("g", "c", {names.stream: ">"}, count=5)) == []
        assert [entry.position for entry in entries_of(client.xread({names.stream: START}))] == positions
