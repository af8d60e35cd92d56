"""The commands of a learner: learn, status, undo, dead and wipe."""

import contextlib
import itertools
import json

import pytest

from ciao_stream.faces.task import TaskSpec
from ciao_stream.stream import __main__ as stream
from ciao_stream.stream.learner.checkpoint import Checkpoints
from ciao_stream.stream.learner.folder import LearnerFolder
from ciao_stream.stream.learner.status import read_status
from ciao_stream.stream.log.append import Appender
from ciao_stream.stream.log.dead import dead_letters
from ciao_stream.stream.log.messages import encode_label, encode_task
from ciao_stream.worlds.world import World
from tests.helpers import stream_events, stream_follow
from tests.helpers.sequences import exit_code
from tests.helpers.stream_children import append_all, messages, newest, spoiled, uninterrupted, wire
from tests.helpers.stream_events import snapshot
from tests.helpers.stream_follow import entries

follow = stream_follow.follow


@pytest.fixture
def command(server, names, tmp_path, monkeypatch, capsys):
    """Function that runs a command of `stream` on the test's stream and learner, and returns its output."""
    monkeypatch.setattr("ciao_stream.encoders.load_encoder", lambda _: stream_events.shared())

    def command(name, *words, code=0):
        common = ["--redis", str(server.address), "--stream", names.stream, "--worlds", str(tmp_path / "learner")]
        assert exit_code(stream.main, [name, *words, *common]) == code
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
    frame_id, task = next(
        (h["frame_id"], h["task"]) for h in headers[25:] if h["type"] == "label" and h["frame_id"] != "nobody"
    )
    about = [e.position for e, h in zip(stored, headers, strict=True) if h.get("frame_id") == frame_id]
    assert len(about) >= 2
    printed = command("undo", "--frame", frame_id)
    assert f"{len(about)} entries about the frame are skipped" in printed
    follower = follow()
    reference = uninterrupted([entry for entry in stored if entry.position not in about])[0]
    assert follower.counters.passed_over == len(about)
    assert follower.counters.tracker.lost == 0
    assert snapshot(follower.learner) == snapshot(reference)
    assert "not found: it was never received" in command("undo", "--frame", "nobody's", code=2)
    belongs = f"frame {frame_id!r} belongs to task {task!r}, not to 'fre': correct or omit --task"
    assert belongs in command("undo", "--frame", frame_id, "--task", "fre", code=2)


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
