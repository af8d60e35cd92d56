"""The follower of a stream and its commands, also with faults of the stream, the disk or the messages."""

import errno
import itertools
import json
import logging
import zlib

import pytest
import redis
import torch

from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.task import TaskSpec
from ciao_stream.stream.learner import checkpoint
from ciao_stream.stream.learner.checkpoint import Checkpoints
from ciao_stream.stream.learner.folder import LearnerFolder
from ciao_stream.stream.learner.follow import Follower, TooManyRefusedError
from ciao_stream.stream.learner.settings import FollowSettings
from ciao_stream.stream.log.connection import UnreachableError
from ciao_stream.stream.log.dead import dead_letters
from ciao_stream.stream.log.images import write_image
from ciao_stream.stream.log.log import FrameLog
from ciao_stream.stream.log.messages import encode_frame, encode_task
from tests.helpers import stream_events, stream_follow
from tests.helpers.redis_server import running
from tests.helpers.stream_children import append_all, learner, messages, newest, spoiled, uninterrupted, wire
from tests.helpers.stream_events import snapshot
from tests.helpers.stream_follow import SOON, entries, follow_on
from tests.helpers.stream_messages import changed, face, sealed

follow = stream_follow.follow


def texts(follower):
    return [incident["text"] for incident in follower.counters.incidents]


def test_when_checkpoints_are_written_has_no_influence_on_what_is_learned(server, names, follow, monkeypatch):
    monkeypatch.setattr("ciao_stream.stream.learner.follow.CHECKPOINT_SHARE", 1e9)
    append_all(server.address, names, messages(100))
    often = follow("often", checkpoint_entries=1)
    seldom = follow("seldom", checkpoint_entries=10_000, checkpoint_s=1000)
    assert snapshot(often.learner) == snapshot(seldom.learner) == snapshot(uninterrupted(entries(server, names))[0])
    assert (often.saved.number, seldom.saved.number) == (101, 2)
    assert often.counters.frames == seldom.counters.frames > 50


def test_all_is_acknowledged_and_entries_that_no_checkpoint_needs_are_trimmed(
    server, names, follow, client, monkeypatch
):
    monkeypatch.setattr("ciao_stream.stream.learner.follow.CHECKPOINT_SHARE", 1e9)  # also on a busy machine
    append_all(server.address, names, messages(120))
    follow()
    follower = follow(trim_s=0, history=20)
    assert client.xpending(names.stream, names.group)["pending"] == 0
    kept = follower.checkpoints.kept()
    first = client.xrange(names.stream, count=1)[0][0].decode()
    assert first == kept[-3].position
    assert follower.counters.in_stream() == client.xlen(names.stream)
    assert snapshot(newest(follower.folder.path).learner) == snapshot(follower.learner)


def test_it_is_not_idle_while_anything_waits_however_long_a_checkpoint_takes(server, names, follow):
    append_all(server.address, names, messages(100))
    follower = follow(until_idle=0, checkpoint_s=0)
    assert (follower.state, follower.counters.entries) == ("stopped", 100)


def test_some_older_checkpoints_are_kept_to_roll_back_to(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "MILESTONE", 4)
    monkeypatch.setattr(checkpoint, "MILESTONES", 2)
    kept = Checkpoints(tmp_path)
    for _ in range(17):
        kept.save(learner())
    assert [one.number for one in kept.kept()] == [9, 13, 15, 16, 17]


def bomb():
    header = b"IHDR" + (30_000).to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00"
    chunk = (13).to_bytes(4, "big") + header + zlib.crc32(header).to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + chunk + write_image(face(0))[33:]


def bad_messages():
    """Ways to damage a good frame by the reason of their refusal; each keeps its number."""
    return {
        "corrupt": lambda good: spoiled(good, 77),
        "truncated": lambda good: {**good, b"image": good[b"image"][:-9]},
        "bad_header": lambda good: changed(good, v=2),
        "unknown_task": lambda good: changed(good, task="emorreact"),
        "bad_label": lambda good: changed(good, task="fer", label="sadd"),
        "wrong_kind": lambda good: changed(good, task="fer", label=["mad"]),
        "future": lambda good: changed(good, captured_at=9e9),
        "not_an_image": lambda good: sealed(json.loads(good[b"header"]), b"GIF89a"),
        "bomb": lambda good: sealed(json.loads(good[b"header"]), bomb()),
        "too_large": lambda good: sealed(json.loads(good[b"header"]), bytes(300 * 1024)),
    }


def test_of_600_messages_exactly_the_300_bad_ones_are_refused(server, names, follow):
    events = stream_events.Stream(3).mixed([stream_events.tiny.SPECS["categorical"]], 450)
    frames = [event for event in events[1:] if hasattr(event, "image")]
    ways = itertools.cycle(bad_messages().items())
    sent, expected = [wire(events[0], 0)], {}
    for event in itertools.islice(itertools.cycle(frames), 300):
        for bad in (False, True):
            message = changed(wire(event, len(sent)), frame_id=f"n{len(sent)}")
            if bad:
                reason, spoil = next(ways)
                expected[len(sent)] = reason
                message = spoil(message)
            sent.append(message)
    positions = append_all(server.address, names, sent)
    follower = follow(max_refused=0.6)
    letters = [(letter.position, letter.reason) for letter in dead_letters(server.address, names)]
    assert letters == [(positions[number], reason) for number, reason in expected.items()]
    assert dict(follower.counters.refused) == dict.fromkeys(bad_messages(), 30)
    assert (follower.counters.tracker.lost, follower.counters.tracker.repeated) == (0, 0)
    assert follower.counters.frames == 300
    weights = [p for world in follower.learner.worlds.values() for p in world.world.parameters()]
    assert weights
    assert all(bool(torch.isfinite(p).all()) for p in weights)
    good = [e for e in entries(server, names) if e.position not in {position for position, _ in letters}]
    reference = uninterrupted(good)[0]
    reference.skip(positions[-1])
    assert snapshot(follower.learner) == snapshot(reference)


def test_a_stream_of_bad_messages_stops_the_learner_which_can_resume(server, names, follow):
    sent = [*messages(30)]
    append_all(server.address, names, iter([*sent, *[spoiled(sent[5], n) for n in range(250)]]))
    with pytest.raises(TooManyRefusedError, match=r"\d+ of the last 200 messages were refused \(in all: corrupt"):
        follow()
    follower = follow(max_refused=1)
    assert follower.counters.entries == 280
    assert follower.counters.refused == {"corrupt": 250}
    assert len([*dead_letters(server.address, names)]) == 250


def test_a_full_server_makes_room_for_a_dead_letter_by_trimming_applied_entries(tmp_path, names):
    sent = [encode_task(TaskSpec("fer", "categorical", ("calm", "mad")), producer="camera", seq=0)]
    for seq in range(1, 400):
        image = write_image(face(seq, (120, 120)))
        sent.append(encode_frame(image, task="fer", frame_id=f"f{seq}", producer="camera", seq=seq, label="mad"))
    sent[70] = spoiled(sent[70], 9)
    with running(tmp_path / "redis", fsync="everysec", memory_mib=5) as server:
        follow_on(server, names, tmp_path / "learner")
        with pytest.raises(redis.OutOfMemoryError):
            append_all(server.address, names, iter(sent))
        stored = entries(server, names)
        assert 80 < len(stored) < 399
        follower = follow_on(server, names, tmp_path / "learner")
        assert follower.counters.entries == len(stored)
        assert [letter.position for letter in dead_letters(server.address, names)] == [stored[70].position]
        assert texts(follower) == []
        follow_on(server, names, tmp_path / "learner", trim_s=0, history=1)
        append_all(server.address, names, iter(sent[-3:]))


def test_a_wiped_stream_is_noticed_and_its_successor_followed(server, names, follow, client):
    sent = [*messages(60)]
    append_all(server.address, names, sent[:30])
    before = follow()
    client.delete(names.stream)
    assert texts(follow())[0].startswith("wiped: ")
    append_all(server.address, names, iter(sent[35:50]))
    follow()
    client.delete(names.stream)
    append_all(server.address, names, iter(sent[53:60]))  # before the learner noticed the deletion
    follower = follow()
    assert len(texts(follower)) == 1
    assert follower.counters.lost == {"camera": 8}
    assert follower.counters.entries == before.counters.entries + 22


def test_entries_cut_off_before_they_were_read_are_counted_as_lost(server, names, follow, client):
    sent = [*messages(60)]
    append_all(server.address, names, sent[:20])
    follow()
    append_all(server.address, names, sent[20:])
    client.xtrim(names.stream, maxlen=15, approximate=False)
    follower = follow()
    assert texts(follower)[0].startswith("trimmed: ")
    assert follower.counters.lost == {"camera": 25}
    assert follow().counters.lost == {"camera": 25}
    assert len(texts(follow())) == 1


def test_the_log_says_what_happens_without_labels_and_with_frame_ids_at_debug_only(server, names, tmp_path, caplog):
    caplog.set_level(logging.DEBUG, "ciao_stream")
    sent = [*messages(40, bad_every=20)]
    append_all(server.address, names, sent[:20])
    follow_on(server, names, tmp_path)
    position = newest(tmp_path).kept.position
    append_all(server.address, names, sent[25:])
    failures = [UnreachableError("Redis does not answer")]

    def connect():
        if failures:
            raise failures.pop()
        return FrameLog(server.address, names)

    with LearnerFolder(tmp_path).claimed():
        follower = Follower(learner(), LearnerFolder(tmp_path), connect, FollowSettings(**SOON))
        follower.run()
    lines = [(record.levelname, record.message.removeprefix(f"{tmp_path}: ")) for record in caplog.records]
    logged = [f"{level} {text}" for level, text in lines if level != "DEBUG"]
    assert logged[0] == "INFO started"
    assert logged.index(f"WARNING paused at {position}: Redis does not answer") > logged.index(
        f"INFO resumed at {position}, checkpoint {newest(tmp_path).kept.number - 1}"
    )
    expected = (
        "INFO wrote checkpoint", "INFO following again", "WARNING refused entry", "WARNING 5 messages lost before",
    )  # fmt: skip
    assert all(any(line.startswith(one) for line in logged) for one in expected)
    assert logged[-1].strip() == f"INFO stopped at {follower.learner.position}"
    headers = [json.loads(fields[b"header"]) for fields in (*sent[:20], *sent[25:])]
    words = {str(header.get("label")) for header in headers} | {str(header.get("frame_id")) for header in headers}
    assert not [line for line in logged for word in words if f" {word}" in line or f"'{word}'" in line]
    assert sum(level == "DEBUG" and "applied frame f" in text for level, text in lines) == follower.counters.frames


def test_after_a_clock_was_set_back_only_entries_before_it_was_noticed_are_lost(server, names, follow, client):
    sent = [*messages(40)]
    for number, fields in enumerate(sent[:10]):
        client.xadd(names.stream, fields, id=f"9000000000000-{number + 1}")
    follow()
    client.delete(names.stream)
    append_all(server.address, names, sent[10:14])
    follower = follow()
    assert follower.learner.position == "9000000000000-10"
    assert "before the watermark" in texts(follower)[0]
    positions = append_all(server.address, names, sent[14:])
    assert positions[0] == "9000000000000-11"
    follower = follow()
    assert follower.counters.entries == 36
    assert follower.counters.lost == {"camera": 4}


def test_after_a_damaged_checkpoint_it_resumes_from_the_previous_one_with_the_same_result(server, names, follow):
    sent = [*messages(90)]
    append_all(server.address, names, sent[:60])
    follower = follow()
    path = follower.checkpoints.kept()[-1].path
    path.write_bytes(path.read_bytes()[:-100] + bytes(100))
    append_all(server.address, names, sent[60:])
    follower = follow()
    assert "damaged" in texts(follower)[0]
    assert snapshot(follower.learner) == snapshot(uninterrupted(entries(server, names))[0])


def test_only_one_learner_works_in_a_folder(tmp_path):
    one, other = LearnerFolder(tmp_path), LearnerFolder(tmp_path)
    with one.claimed():
        assert other.owner() is not None
        with pytest.raises(CiaoError, match="stop it first"), other.claimed():
            pass
    assert other.owner() is None


def test_a_folder_on_a_disk_without_locks_is_refused(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    refused = pytest.raises(CiaoError, match=r"cannot lock .*: No locks available; choose")
    with refused, LearnerFolder(tmp_path).claimed():
        pass
