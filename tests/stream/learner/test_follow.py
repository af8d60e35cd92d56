"""The follower of a stream and its commands, also with faults of the stream, the disk or the messages."""

import contextlib
import errno
import functools
import itertools
import json
import logging
import zlib

import pytest
import redis
import torch

from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.task import TaskSpec
from ciao_stream.stream import __main__ as stream
from ciao_stream.stream.learner import checkpoint
from ciao_stream.stream.learner.checkpoint import Checkpoints
from ciao_stream.stream.learner.folder import LearnerFolder
from ciao_stream.stream.learner.follow import Follower, TooManyRefusedError
from ciao_stream.stream.learner.settings import FollowSettings
from ciao_stream.stream.learner.status import StatusWriter, read_status
from ciao_stream.stream.log.append import Appender
from ciao_stream.stream.log.connection import UnreachableError
from ciao_stream.stream.log.dead import dead_letters
from ciao_stream.stream.log.images import write_image
from ciao_stream.stream.log.log import FrameLog, History
from ciao_stream.stream.log.messages import encode_frame, encode_label, encode_task
from ciao_stream.worlds.world import World
from tests.helpers import redis_server, stream_events
from tests.helpers.redis_server import running
from tests.helpers.stream_children import TIMEOUT_S, append_all, learner, messages, newest, spoiled, uninterrupted, wire
from tests.helpers.stream_events import snapshot
from tests.helpers.stream_messages import changed, face, sealed

SOON = {"until_idle": 0.1, "checkpoint_entries": 16}


server = redis_server.server
names = redis_server.names
client = redis_server.client


def follow_on(server, names, folder, **settings):
    """Follow a stream until it is idle; return the follower."""
    place = LearnerFolder(folder)
    with place.claimed():
        paced = FollowSettings(**{**SOON, **settings})
        watch = StatusWriter(place.status, "redis")
        log = functools.partial(FrameLog, server.address, names, timeout_s=TIMEOUT_S)
        follower = Follower(learner(), place, log, paced, watch=watch)
        follower.run()
    return follower


@pytest.fixture
def follow(server, names, tmp_path):
    """Function that follows the test's stream until it is idle, in a folder of this name, and returns the follower."""
    return lambda folder="learner", **settings: follow_on(server, names, tmp_path / folder, **settings)


def entries(server, names):
    with contextlib.closing(History(server.address, names)) as history:
        return [*history.entries()]


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


def test_all_is_acknowledged_and_entries_that_no_checkpoint_needs_are_trimmed(server, names, follow, client):
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
        "INFO wrote checkpoint",
        "INFO following again",
        "WARNING refused entry",
        "WARNING 5 messages lost before",
    )
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


@pytest.fixture
def command(server, names, tmp_path, monkeypatch, capsys):
    """Function that runs a command of `stream` on the test's stream and learner, and returns its output."""
    monkeypatch.setattr("ciao_stream.encoders.load_encoder", lambda _: stream_events.shared())

    def command(name, *words, code=0):
        common = ["--redis", str(server.address), "--stream", names.stream, "--worlds", str(tmp_path / "learner")]
        assert stream.main([name, *words, *common]) == code
        captured = capsys.readouterr()
        return captured.err if code else captured.out

    return command


def test_learn_writes_a_status_and_worlds_that_others_can_load(server, names, tmp_path, command):
    append_all(server.address, names, messages(60, bad_every=30))
    words = ["--until-idle", "0.1", "--device", "cpu"]
    command("learn", *words, "--micro-batch", "4", "--set", "head.hidden=[8]")
    status = json.loads(command("status", "--json"))
    assert (status["state"], status["running"], status["entries"], status["lag"]) == ("stopped", False, 60, 0)
    assert status["dead_letters"] == {"corrupt": 2}
    assert status["settings"]["micro_batch"] == 4
    assert status["worlds"]["fer"]["prequential"]["rolling"]["accuracy"] >= 0
    assert "corrupt 2" in command("status")
    world = World.load(tmp_path / "learner" / "worlds" / "fer", stream_events.shared())
    assert world.sha256() == newest(tmp_path / "learner").learner.worlds["fer"].world.sha256()
    wrong = command("learn", *words, "--micro-batch", "8", code=2)
    assert "was created with a different --micro-batch: omit it to resume" in wrong
    command("learn", *words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--replay-capacity", "2147483647"], "replay_capacity: 2,147,483,647 faces of this encoder take"),
        (["--window", "99999999999999999999"], "window: expected a whole number >= 1 and <= 2,147,483,647"),
    ],
)
def test_a_setting_out_of_range_is_refused_and_leaves_nothing_behind(words, expected, server, names, command):
    append_all(server.address, names, messages(20))
    often = ["--until-idle", "0.1", "--device", "cpu"]
    assert expected in command("learn", *often, *words, code=2)
    command("learn", *often)


def test_undo_takes_back_a_frame_as_if_it_had_never_been_received(server, names, follow, command):
    append_all(server.address, names, messages(80))
    follow(history=1000)
    stored = entries(server, names)
    headers = [json.loads(entry.fields[b"header"]) for entry in stored]
    frame_id = next(h["frame_id"] for h in headers[25:] if h["type"] == "label" and h["frame_id"] != "nobody")
    about = [e.position for e, h in zip(stored, headers, strict=True) if h.get("frame_id") == frame_id]
    assert len(about) >= 2
    printed = command("undo", "--frame", frame_id)
    assert f"{len(about)} messages about the frame are skipped" in printed
    follower = follow()
    reference = uninterrupted([entry for entry in stored if entry.position not in about])[0]
    assert follower.counters.passed_over == len(about)
    assert follower.counters.tracker.lost == 0
    assert snapshot(follower.learner) == snapshot(reference)
    assert "not found: it was never received" in command("undo", "--frame", "nobody's", code=2)


def test_undo_to_a_checkpoint_forgets_what_came_after_it(server, names, follow, command):
    sent = [*messages(80)]
    append_all(server.address, names, sent[:40])
    mark = follow().saved
    append_all(server.address, names, sent[40:60])
    follow()
    stored = entries(server, names)[:40]
    assert f"{mark.number}" in command("undo", "--list")
    assert "there is no checkpoint 999" in command("undo", "--to", "999", code=2)
    assert "--task needs --frame" in command("undo", "--to", "1", "--task", "fer", code=2)
    command("undo", "--to", str(mark.number))
    append_all(server.address, names, sent[60:])
    follower = follow()
    reference = uninterrupted([*stored, *entries(server, names)[60:]])[0]
    assert snapshot(follower.learner) == snapshot(reference)
    assert (follower.counters.entries, follower.counters.passed_over) == (80, 20)


def test_after_undo_of_everything_the_tasks_stay_declared_and_learning_resumes(server, names, follow, command):
    sent = [*messages(60)]
    append_all(server.address, names, sent[:40])
    follow(history=1000)
    declared = [entry for entry in entries(server, names) if json.loads(entry.fields[b"header"])["type"] == "task"]
    command("undo", "--to", "1")
    append_all(server.address, names, sent[40:])
    follower = follow()
    assert snapshot(follower.learner) == snapshot(uninterrupted([*declared, *entries(server, names)[40:]])[0])
    assert follower.counters.passed_over == 40 - len(declared)


def test_undo_without_a_learner_is_refused(command):
    assert "no learner has worked in" in command("undo", "--list", code=2)


def test_undo_reports_that_the_stream_was_trimmed(server, names, follow, command, client):
    append_all(server.address, names, messages(80))
    follow()
    stored = entries(server, names)
    frames = [h["frame_id"] for e in stored if (h := json.loads(e.fields[b"header"]))["type"] == "frame"]
    client.xtrim(names.stream, maxlen=3, approximate=False)
    assert "has been trimmed" in command("undo", "--frame", frames[0], code=2)


def test_dead_letters_are_sent_again_once_their_task_is_known(server, names, follow, command):
    events = stream_events.Stream(1).mixed([stream_events.tiny.SPECS["categorical"]], 30)
    declaration, *early = [wire(event, seq) for seq, event in enumerate(events)]
    early = [wire(event, seq, "hasty") for seq, event in enumerate(events[1:9])]
    append_all(server.address, names, iter([*early, spoiled(early[0], 3), declaration]))
    follow()
    listed = [json.loads(line) for line in command("dead", "--json").splitlines()]
    assert [letter["reason"] for letter in listed] == ["unknown_task"] * 8 + ["corrupt"]
    assert "unknown_task" in command("dead")
    assert command("dead", "--replay") == "sent 8 again; left 1: corrupt 1\n"
    assert command("dead", "--replay") == "sent 0 again; left 1: corrupt 1\n"
    follower = follow()
    assert follower.learner.n_applied == 9
    assert follower.counters.tracker.lost == 0
    assert [letter.reason for letter in dead_letters(server.address, names)] == ["corrupt"]


def test_wipe_leaves_no_face_anywhere_and_does_not_change_the_worlds(server, names, tmp_path, follow, command, client):
    face_bytes = next(fields[b"image"] for fields in messages(60) if b"image" in fields)

    def files_with_a_face():
        return [path for path in server.data.rglob("*") if path.is_file() and face_bytes in path.read_bytes()]

    client.flushall()  # other tests sent the same faces
    with contextlib.closing(Appender(server.address, names)) as appender:
        for fields in messages(60):
            appender.append(fields)
    append_all(server.address, names, iter([spoiled(fields, 1) for fields in messages(3)]))
    before = follow()
    assert files_with_a_face()
    assert "confirm with --yes" in command("wipe", code=2)
    assert "wiped 63 messages, 3 dead letters, 60 message ids" in command("wipe", "--yes")
    assert [client.xlen(key) for key in (names.stream, names.dead)] == [0, 0]
    assert not [*client.scan_iter(names.seen("*"))]
    assert not files_with_a_face()
    (kept,) = Checkpoints(LearnerFolder(tmp_path / "learner").checkpoints).kept()
    assert b'"f5"' not in kept.path.read_bytes()
    after = newest(tmp_path / "learner").learner
    for name, world in after.worlds.items():
        assert world.world.sha256() == before.learner.worlds[name].world.sha256()
        assert (len(world.replay), len(world.pending), len(world.recent), world.batch) == (0, 0, 0, [])
    append_all(server.address, names, itertools.islice(messages(80), 60, 80))
    assert follow().counters.entries == 83


def test_wipe_deletes_statistics_of_few_faces_and_rewrites_the_server_snapshot(
    server, names, tmp_path, follow, command, client
):
    face_bytes = next(fields[b"image"] for fields in messages(12) if b"image" in fields)
    client.flushall()
    append_all(server.address, names, messages(12))
    before, snapshot_file = follow().learner, server.data / "dump.rdb"
    place = LearnerFolder(tmp_path / "learner")
    before.save_worlds(place.worlds)
    client.config_set("save", "3600 1")
    client.config_set("rdbcompression", "no")
    try:
        client.save()
        assert face_bytes in snapshot_file.read_bytes()
        assert "give one of them" in command("wipe", "--yes", "--data", str(tmp_path), code=2)
        assert len(Checkpoints(place.checkpoints).kept()) > 1, "nothing was done"
        assert "on disk still contain" not in command("wipe", "--yes")
        assert face_bytes not in snapshot_file.read_bytes()
    finally:
        client.config_set("save", "")
    for name, online in before.worlds.items():
        world = World.load(place.worlds / name, stream_events.shared())
        assert (online.faces.n > 0, world.faces.n) == (True, 0), "statistics of few faces reveal single ones"
        assert world.sha256() == online.world.sha256()


def test_the_status_counts_labels_that_came_too_late(server, names, follow, command):
    spec = TaskSpec("mood", "categorical", ("calm", "glad"))
    label = encode_label("glad", task="mood", frame_id="gone", producer="p", seq=1)
    append_all(server.address, names, iter([encode_task(spec, producer="p", seq=0), label]))
    follow()
    assert "1 labels of frames that the learner does not know or has forgotten" in " ".join(command("status").split())


def test_the_status_shows_that_a_learner_was_killed(tmp_path, follow, command):
    follow()
    path = LearnerFolder(tmp_path / "learner").status
    path.write_text(json.dumps({**read_status(path), "state": "following"}))
    assert "killed" in command("status", "--once")
    path.unlink()
    assert "no learner has worked in" in command("status", code=2)
