"""The predictor: answers of the version that it names, each frame once, despite swaps, bad frames and lost replies."""

import contextlib
import json
import math
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ciao_stream import encoders
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.task import EMOTIONS, TaskSpec
from ciao_stream.stream import __main__ as command
from ciao_stream.stream.learner.checkpoint import Checkpoints
from ciao_stream.stream.log.feed import FrameFeed
from ciao_stream.stream.log.images import write_image
from ciao_stream.stream.log.keys import StreamNames
from ciao_stream.stream.log.messages import encode_frame, encode_task
from ciao_stream.stream.predict.predictor import Predictor
from ciao_stream.stream.predict.results import LEAST, Temperature
from ciao_stream.stream.predict.settings import PredictSettings
from ciao_stream.stream.predict.worlds import CheckpointWorlds, ExportedWorlds, UpToDate
from ciao_stream.worlds.answers import Answer, Smoother, answer, probabilities
from tests.helpers import redis_proxy, redis_server, stream_events, tiny
from tests.helpers.sent_messages import PATIENCE_S, busy, until
from tests.helpers.stream_events import Stream, shared
from tests.helpers.stream_messages import sealed

NAMES = StreamNames()
FER, VA, MULTI = (tiny.SPECS[kind] for kind in ("categorical", "dimensional", "multilabel"))
LOOK_S = 0.02
TWO = PredictSettings(batch=2)


server = redis_server.empty


@pytest.fixture
def learned(tmp_path):
    """A learner with three worlds, and its folder with a checkpoint."""
    events = Stream()
    learner = stream_events.learner()
    for spec in (FER, VA, MULTI):
        stream_events.apply(learner, [events.declare(spec), *events.frames(spec, 8)])
    Checkpoints(tmp_path / "checkpoints").save(learner)
    return learner, events, tmp_path / "checkpoints"


@pytest.fixture
def folder(learned):
    """The folder with the checkpoint."""
    return learned[2]


def face(number):
    return np.random.default_rng(number).integers(0, 256, (tiny.SIZE, tiny.SIZE), dtype=np.uint8)


def send(client, numbers, **header):
    """Put frames on the stream, and return their positions."""
    positions = []
    for number in numbers:
        about = {"task": "fer", "frame_id": f"f{number}", "producer": "camera", "seq": number, **header}
        positions.append(client.xadd("frames", encode_frame(write_image(face(number)), **about)).decode())
    return positions


def predictor(server, folder, settings=TWO, *, only=(), start="0-0", encoder=None, feed=None, source=None, **options):
    address = server if callable(server) else lambda: server.address
    feed = FrameFeed(address, NAMES, start=start, **{"claim_s": 0.2, "timeout_s": 1.0, **(feed or {})})
    encoder = encoder or shared()
    worlds = UpToDate(source or CheckpointWorlds(folder, encoder), LOOK_S)
    return Predictor(encoder, worlds, feed, settings, only=only, **options)


def results(client):
    return [json.loads(fields[b"result"]) for _, fields in client.xrange(NAMES.results)]


@contextlib.contextmanager
def answering(*predictors):
    """Run them in threads, and stop them at the end."""
    stops = []
    failed = []

    def body(one):
        try:
            one.run()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=body, args=(one,)) for one in predictors]
    for one, thread in zip(predictors, threads, strict=True):
        stops.append(one._stop)
        thread.start()
    try:
        yield
    finally:
        for stop in stops:
            stop.request()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert not failed, failed


def ended(one):
    """Run it to its end."""
    one.run()
    return one


def check(found, learner, numbers):
    """Each result is the learner's prediction, to the bit."""
    wanted = {f"f{number}": learner.predict(face(number)) for number in numbers}
    for result in found:
        spec = learner.worlds[result["world"]].spec
        values = probabilities(spec, wanted[result["frame_id"]][spec.name])
        published = result["values" if spec.kind == "dimensional" else "probabilities"]
        assert published == dict(zip(spec.labels, values.tolist(), strict=True))


def up_to(n, **options):
    return PredictSettings(**{"batch": 3, "max_frames": n, **options})


def test_answers_are_the_learners_bit_for_bit_and_carry_their_origin(server, client, learned):
    learner, _, folder = learned
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    positions = send(client, range(7), person="Ada", camera="left")
    reports = []
    one = ended(predictor(server, folder, up_to(7), on_result=reports.append))
    found = results(client)
    assert (one.frames, one.results, len(found)) == (7, 21, 21)
    assert found == reports
    check(found, learner, range(7))
    assert [r["position"] for r in found] == [position for position in positions for _ in range(3)]
    first = found[0]
    assert {name: first[name] for name in ("frame_id", "task", "producer", "person", "camera", "world", "version")} == {
        "frame_id": "f0", "task": "fer", "producer": "camera", "person": "Ada", "camera": "left", "world": "fer",
        "version": 1,
    }  # fmt: skip
    assert first["answer"] == FER.labels[int(learner.predict(face(0))["fer"].argmax())]
    assert first["confidence"] == max(first["probabilities"].values())
    assert 0 < first["latency_ms"] < 5000
    assert found[1]["answer"] == found[1]["values"]
    assert found[1]["confidence"] is None
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_several_worlds_answer_from_one_pass_through_the_trunk(server, client, folder, monkeypatch):
    encoder = tiny.encoder()
    passes = []
    encode = type(encoder).stored_z
    monkeypatch.setattr(type(encoder), "stored_z", lambda self, x: passes.append(len(x)) or encode(self, x))
    send(client, range(7))
    ended(predictor(server, folder, up_to(7), only=("emoreact", "fer"), encoder=encoder))
    assert passes == [3, 3, 1]
    assert [r["world"] for r in results(client)] == ["emoreact", "fer"] * 7


def test_a_newer_checkpoint_takes_over_between_two_frames(server, client, learned):
    learner, events, folder = learned
    one = predictor(server, folder, only=("fer",))
    old = stream_events.reborn(learner)
    with answering(one):
        sent = 0
        for version in (1, 2):
            while version not in {r["version"] for r in results(client)[-1:]}:
                send(client, [sent])
                sent += 1
                until(lambda: len(results(client)) == sent)  # noqa: B023
            if version == 1:
                send(client, range(sent, sent + 3))
                sent += 3
                until(lambda: len(results(client)) == sent)  # noqa: B023
                stream_events.apply(learner, events.frames(FER, 16))
                Checkpoints(folder).save(learner)
    found = results(client)
    versions = [r["version"] for r in found]
    assert versions == sorted(versions)
    assert set(versions) == {1, 2}
    check([r for r in found if r["version"] == 1], old, range(sent))
    check([r for r in found if r["version"] == 2], learner, range(sent))
    assert not np.array_equal(old.predict(face(0))["fer"], learner.predict(face(0))["fer"])


def test_a_damaged_checkpoint_does_not_replace_the_last_one(server, client, learned):
    learner, _, folder = learned
    reports = []
    one = predictor(server, folder, only=("fer",), tell=reports.append)
    with answering(one):
        send(client, [0])
        until(lambda: len(results(client)) == 1)
        kept = Checkpoints(folder).save(learner)
        kept.path.write_bytes(kept.path.read_bytes()[:-1])
        until(lambda: any("damaged" in line for line in reports))
        send(client, [1])
        until(lambda: len(results(client)) == 2)
    assert [r["version"] for r in results(client)] == [1, 1]


def test_a_group_answers_every_frame_once_in_sum(server, client, learned):
    learner, _, folder = learned
    pair = [predictor(server, folder, only=("fer",), feed={"group": "robots"}) for _ in range(2)]
    with answering(*pair):
        positions = send(client, range(120))
        until(lambda: sum(one.frames for one in pair) >= 120)
        time.sleep(0.3)
    found = results(client)
    assert sorted(r["position"] for r in found) == sorted(positions)
    assert all(one.frames > 10 for one in pair)
    check(found, learner, range(120))
    assert client.xpending("frames", "robots")["pending"] == 0
    assert client.xinfo_consumers("frames", "robots") == []


def test_a_group_takes_over_entries_of_a_dead_member_and_gives_up_those_that_kill_all(server, client, folder):
    send(client, range(4))
    client.xgroup_create("frames", "robots", "0-0")
    client.xreadgroup("robots", "dead", {"frames": ">"}, count=2)
    deadly = client.xrange("frames")[0][0]
    client.xclaim("frames", "robots", "dead", 0, [deadly], retrycount=3)
    time.sleep(0.25)
    one = ended(predictor(server, folder, up_to(3, until_idle=5), only=("fer",), feed={"group": "robots"}))
    assert sorted(r["frame_id"] for r in results(client)) == ["f1", "f2", "f3"]
    assert one.skipped == {"crash": 1}
    assert client.xpending("frames", "robots")["pending"] == 0


@pytest.mark.parametrize("lost", ["EXEC", "XREADGROUP"])
def test_in_a_group_a_lost_reply_neither_loses_nor_doubles_a_frame(server, client, folder, lost):
    with redis_proxy.between(Path(server.address.path)) as proxy:
        one = predictor(lambda: proxy.address, folder, only=("fer",), feed={"group": "robots"})
        with answering(one):
            send(client, range(4))
            until(lambda: len(results(client)) == 4)
            proxy.lose_reply(lost)
            send(client, range(4, 12))
            until(lambda: len(results(client)) >= 12)
            time.sleep(0.3)
        assert proxy.lost == 1
    assert [r["frame_id"] for r in results(client)] == [f"f{number}" for number in range(12)]


def test_it_resumes_when_redis_was_away(server, client, folder):
    reports = []
    one = predictor(server, folder, only=("fer",), tell=reports.append)
    with answering(one):
        send(client, [0])
        until(lambda: one.frames == 1)
        server.kill()
        until(lambda: any("does not respond" in line for line in reports))
        server.start()
        with server.client() as after:
            after.flushall()  # fsync is off: what came back is not known
            send(after, [1, 2])
            until(lambda: one.frames == 3)
            assert [r["frame_id"] for r in results(after)] == ["f1", "f2"]


def test_bad_frames_are_counted_and_skipped(server, client, folder):
    good = encode_frame(write_image(face(1)), task="fer", frame_id="f1", producer="camera", seq=1)
    header = json.loads(good[b"header"])
    client.xadd("frames", encode_task(FER, producer="camera", seq=0))
    bad = [
        {b"nonsense": b"1"},
        {**good, b"image": good[b"image"][:-3]},
        {**good, b"sha256": b"0" * 64},
        sealed(header, b"GIF89a" + bytes(30)),
        sealed(header, good[b"image"][:-30]),
        sealed({**header, "seq": -1}, good[b"image"]),
        sealed(b"[" * 3000, good[b"image"]),
    ]
    for fields in bad:
        client.xadd("frames", fields)
    client.xadd("frames", encode_frame(write_image(face(2)), task="nobody's", frame_id="f2", producer="p", seq=1))
    one = ended(predictor(server, folder, up_to(1, batch=4), only=("fer",)))
    assert [r["frame_id"] for r in results(client)] == ["f2"]
    assert one.skipped == {"bad_header": 3, "truncated": 2, "corrupt": 1, "not_an_image": 1}


def test_the_results_are_bounded_and_the_newest_stay(server, client, folder):
    send(client, range(400))
    ended(predictor(server, folder, up_to(400, batch=50), only=("fer",), feed={"kept": 100}))
    found = results(client)
    assert 100 <= len(found) <= 200
    assert found[-1]["frame_id"] == "f399"


def test_it_starts_after_the_newest_frame_by_default(server, client, folder):
    positions = send(client, range(3))
    one = predictor(server, folder, only=("fer",), start="new")
    with answering(one):
        until(lambda: one._feed._client is not None)
        send(client, [3])
        until(lambda: one.frames == 1)
    ended(predictor(server, folder, up_to(2), only=("fer",), start=positions[1]))
    assert [r["frame_id"] for r in results(client)] == ["f3", "f2", "f3"]


def test_it_waits_for_a_learner_and_then_answers_the_frames_since(server, client, tmp_path):
    reports = []
    one = predictor(server, tmp_path / "later", tell=reports.append)
    send(client, [0])
    with answering(one):
        until(lambda: "waiting for the learner" in reports[-1] if reports else False)
        learner = stream_events.learner()
        stream_events.apply(learner, [Stream().declare(FER)])
        Checkpoints(tmp_path / "later").save(learner)
        until(lambda: one.frames == 1)
    check(results(client), learner, [0])


def test_it_is_not_idle_while_the_first_worlds_are_being_read(server, client, learned):
    class Slow(CheckpointWorlds):
        def read(self):
            time.sleep(0.6)
            return super().read()

    send(client, range(3))
    reports = []
    settings = PredictSettings(until_idle=0.2)
    one = ended(predictor(server, None, settings, source=Slow(learned[2], shared()), tell=reports.append))
    assert one.frames == 3
    assert not [text for text in reports if "no world" in text]


def test_exported_worlds_answer_the_same_and_are_replaced_too(server, client, learned, tmp_path):
    learner, events, _ = learned
    folder = tmp_path / "worlds"
    learner.save_worlds(folder)
    one = predictor(server, folder, source=ExportedWorlds(folder, shared()))
    with answering(one):
        send(client, [0])
        until(lambda: one.results == 3)
        check(results(client), learner, [0])
        stream_events.apply(learner, events.frames(FER, 16))
        learner.save_worlds(folder)
        new = learner.worlds["fer"].world.sha256()[:12]
        sent = 1
        while (results(client)[-1]["world"], results(client)[-1]["version"]) != ("fer", new):
            assert sent < 500
            send(client, [sent])
            sent += 1
            until(lambda: one.results == 3 * sent)  # noqa: B023
    check(results(client)[-3:], learner, range(sent))


def test_smoothing_by_hand(server, client, learned):
    learner, _, folder = learned
    share = 1 - math.exp(-1 / 2)
    for number, producer in enumerate(["left", "right", "left", "left"]):
        send(client, [number], producer=producer)
    ended(predictor(server, folder, up_to(4, smooth=2), only=("fer",)))
    raw = [probabilities(FER, learner.predict(face(number))["fer"]) for number in range(4)]
    second = raw[0] + share * (raw[2] - raw[0])
    wanted = [raw[0], raw[1], second, second + share * (raw[3] - second)]
    for result, values in zip(results(client), wanted, strict=True):
        np.testing.assert_allclose([*result["probabilities"].values()], values, rtol=1e-12)


def test_smoothing_follows_each_person_and_restarts_with_new_labels():
    smooth = Smoother(1 / math.log(2))  # each frame moves it half way
    assert smooth("Ada", "fer", np.array([1.0, 0.0])).tolist() == [1, 0]
    assert smooth("Ada", "fer", np.array([0.0, 1.0])) == pytest.approx([0.5, 0.5])
    assert smooth("Ada", "fer", np.array([0.0, 1.0])) == pytest.approx([0.25, 0.75])
    assert smooth("Bob", "fer", np.array([0.0, 1.0])).tolist() == [0, 1]
    assert smooth("Ada", "va", np.array([0.3, 0.7])).tolist() == [0.3, 0.7]
    assert smooth("Ada", "fer", np.array([0.2, 0.2, 0.6])).tolist() == [0.2, 0.2, 0.6]


def test_answers_and_abstention_by_hand():
    two = TaskSpec("t", "categorical", ("a", "b"))
    many = TaskSpec("m", "multilabel", ("a", "b", "c"))
    assert probabilities(two, np.array([0, math.log(3)], np.float32)) == pytest.approx([0.25, 0.75])
    assert probabilities(two, np.array([0, math.log(3)], np.float32), 2.0) == pytest.approx([0.3660254, 0.6339746])
    assert answer(two, np.array([0.25, 0.75]), 0.75).answer == "b"
    assert answer(two, np.array([0.25, 0.75]), 0.76) == Answer({"a": 0.25, "b": 0.75}, "", 0.75)
    assert probabilities(many, np.array([0, math.log(3), -math.log(9)], np.float32)) == pytest.approx([0.5, 0.75, 0.1])
    several = answer(many, np.array([0.2, 0.75, 0.9]))
    assert (several.answer, several.confidence) == (["b", "c"], 0.75)
    assert answer(many, np.array([0.2, 0.75, 0.9]), 0.8).answer == ""
    dimensions = answer(VA, np.array([0.5, -1.0]), 0.99)
    assert dimensions == Answer({"arousal": 0.5, "valence": -1.0}, {"arousal": 0.5, "valence": -1.0}, None)


def test_the_names_of_ros4hri():
    spec = TaskSpec("t", "categorical", EMOTIONS)
    named = answer(spec, np.eye(8)[3], names="ros4hri")
    assert [*named.values] == ["neutral", "happy", "surprised", "sad", "angry", "disgusted", "scared", "contempt"]
    assert named.answer == "sad"
    many = answer(TaskSpec("m", "multilabel", ("fear", "anger")), np.array([0.9, 0.8]), names="ros4hri")
    assert many.answer == ["scared", "angry"]


@pytest.mark.parametrize("kind", ["categorical", "votes", "multilabel"])
def test_the_temperature_corrects_an_overconfident_world(kind):
    rng = np.random.default_rng(0)
    spec = tiny.SPECS[kind]
    fitted = Temperature(spec)
    for _ in range(LEAST - 1):
        fitted.take(np.zeros(spec.n_out, np.float32), tiny.targets(kind, 1)[0])
    assert fitted.value == 1
    for _ in range(640):
        logits = rng.normal(0, 1.5, spec.n_out).astype(np.float32)
        chances = probabilities(spec, logits)
        if kind == "multilabel":
            target = (rng.random(spec.n_out) < chances).astype(np.float32)
        else:
            target = np.array(rng.choice(spec.n_out, p=chances))
        if kind == "votes":
            target = np.eye(spec.n_out, dtype=np.float32)[int(target)]
        fitted.take(3 * logits, target)
    assert 2.5 < fitted.value < 3.6


def test_calibration_counts_only_frames_that_the_version_had_not_learned(server, client, learned):
    learner, _, folder = learned
    for number in range(LEAST):
        send(client, [number], label=FER.labels[number % 3])
    send(client, [LEAST])
    ended(predictor(server, folder, up_to(LEAST + 1, calibrate=True), only=("fer",)))
    found = results(client)
    check(found[:LEAST], learner, range(LEAST))
    raw = learner.predict(face(LEAST))["fer"]
    fitted = Temperature(FER)
    for number in range(LEAST):
        fitted.take(learner.predict(face(number))["fer"], np.array(number % 3))
    wanted = probabilities(FER, raw, fitted.value)
    assert fitted.value != 1
    np.testing.assert_allclose([*found[-1]["probabilities"].values()], wanted)
    learner.skip("9000000000000-0")
    Checkpoints(folder).save(learner)
    ended(predictor(server, folder, up_to(LEAST + 1, calibrate=True), only=("fer",)))
    check(results(client)[-1:], learner, [LEAST])


def test_impossible_options_are_refused(server, folder):
    with pytest.raises(CiaoError, match="unknown world 'fee': did you mean 'fer'"):
        predictor(server, folder, only=("fee",)).run()
    with pytest.raises(CiaoError, match="uses encoder"):
        predictor(server, folder, encoder=tiny.encoder(seed=9)).run()
    with pytest.raises(CiaoError, match="learner's"):
        predictor(server, folder, feed={"group": "learner"})
    with pytest.raises(CiaoError, match="omit one of them"):
        predictor(server, folder, PredictSettings(smooth=3), feed={"group": "robots"})
    for wrong in ({"smooth": 0}, {"abstain": 1.5}, {"names": "ros"}, {"batch": 0}, {"until_idle": float("nan")}):
        with pytest.raises(CiaoError, match=next(iter(wrong))):
            PredictSettings(**wrong)
    with pytest.raises(CiaoError, match="not a position"):
        predictor(server, folder, start="newest")
    with pytest.raises(CiaoError, match="greater than any position"):
        predictor(server, folder, start="99999999999999999999-0")
    with pytest.raises(CiaoError, match="results to keep: expected 1 to"):
        predictor(server, folder, feed={"kept": 2**63})


def test_the_command_answers_in_json_and_stops_cleanly_on_sigterm(server, client, learned, monkeypatch, capsys):
    learner, _, folder = learned
    send(client, range(3))
    monkeypatch.setattr(encoders, "load_encoder", lambda _: tiny.encoder())
    asked = []

    def ask():
        with server.client() as own:
            until(lambda: len(results(own)) == 3)
        time.sleep(0.3 * busy())  # until the predictor has the reply to its write
        asked.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGTERM)

    asking = threading.Thread(target=ask)
    asking.start()
    argv = ["--worlds", str(folder.parent), "--start", "0-0", "--only", "fer", "--json", "--device", "cpu"]
    assert command.main(["predict", "--redis", server.url, *argv]) == 0
    assert time.monotonic() - asked[0] < 2 * busy()
    asking.join()
    printed = capsys.readouterr()
    found = [json.loads(line) for line in printed.out.splitlines()]
    assert "made 3 predictions for 3 frames" in printed.err
    check(found, learner, range(3))
    assert found == results(client)


def test_the_command_refuses_a_bad_name_of_a_group(server, capsys):
    assert command.main(["predict", "--redis", server.url, "--device", "cpu", "--group", "a b"]) == 2
    assert "letters, digits" in capsys.readouterr().err
