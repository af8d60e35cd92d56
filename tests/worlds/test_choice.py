"""The world that is chosen when nobody names one: statistics of faces, the choice, and the predictor."""

import dataclasses
import json
import threading

import numpy as np
import pytest
import torch

from ciao_stream import encoders
from ciao_stream.exceptions import CiaoError, WorldError
from ciao_stream.faces.statistics import LEAST, WIDEST, FaceStatistics, pooled
from ciao_stream.faces.task import TaskSpec
from ciao_stream.runtime.stopping import Stop
from ciao_stream.stream import __main__ as command
from ciao_stream.stream.learner.checkpoint import Checkpoints
from ciao_stream.stream.log.events import LabelCame
from ciao_stream.stream.log.feed import FrameFeed
from ciao_stream.stream.log.images import write_image
from ciao_stream.stream.log.keys import StreamNames
from ciao_stream.stream.log.messages import encode_frame
from ciao_stream.stream.predict.predictor import Predictor
from ciao_stream.stream.predict.settings import PredictSettings
from ciao_stream.stream.predict.worlds import CheckpointWorlds, ExportedWorlds, UpToDate
from ciao_stream.worlds.choice import Prototype
from ciao_stream.worlds.world import World
from tests.helpers import stream_events, tiny
from tests.helpers.redis_server import running
from tests.helpers.sent_messages import PATIENCE_S, until
from tests.helpers.stream_events import QUICK, shared

FER, VA, MULTI = (tiny.SPECS[kind] for kind in ("categorical", "dimensional", "multilabel"))
SHADES = {"fer": 20, "affectnet-va": 120, "emoreact": 220}
"""Brightness of the faces of each world, by which they differ here."""


def face(number, task):
    noise = np.random.default_rng(number).integers(-20, 21, (tiny.SIZE, tiny.SIZE))
    return (SHADES[task] + noise).astype(np.uint8)


def frames(stream, spec, n):
    """Labelled faces of a world's own brightness."""
    events = [stream.frame(spec) for _ in range(n)]
    return [dataclasses.replace(event, image=face(i, spec.name)) for i, event in enumerate(events)]


def begun(specs=(FER, VA, MULTI), n=LEAST, settings=QUICK):
    """A learner each of whose worlds has learned from ``n`` faces."""
    stream, learner = stream_events.Stream(), stream_events.learner(settings)
    for spec in specs:
        stream_events.apply(learner, [stream.declare(spec), *frames(stream, spec, n)])
    return stream, learner


def tensors(statistics):
    return {name: tensor.clone() for name, tensor in statistics.to_tensors().items()}


def same(some, others):
    return all(torch.equal(tensor, others[name]) for name, tensor in some.items()) and some.keys() == others.keys()


def stored_z(images):
    return shared().stored_z(torch.from_numpy(np.stack([shared().preprocessing.fit(image) for image in images])))


@pytest.mark.parametrize("width", [3, WIDEST + 1])
def test_statistics_are_those_of_all_faces_however_they_came(width):
    x = np.random.default_rng(0).normal(5, 2, (40, width))
    once, singly = FaceStatistics(width), FaceStatistics(width)
    once.update(x)
    for row in x:
        singly.update(row[None])
    singly.update(np.full((1, width), np.nan))
    scatter = np.cov(x.T, bias=True) * 40 if width == 3 else x.var(axis=0) * 40
    for made in (once, singly, FaceStatistics.from_tensors(once.to_tensors())):
        assert made.n == 40
        np.testing.assert_allclose(made.mean, x.mean(axis=0))
        np.testing.assert_allclose(made.scatter, scatter)
    few = once.carried(10)
    assert (few.n, once.carried(99).n) == (10, 40)
    np.testing.assert_allclose(few.scatter, scatter / 4)


def test_statistics_of_cached_features_are_those_of_a_stream():
    _, learner = begun([FER])
    z = stored_z([face(i, "fer") for i in range(LEAST)]).numpy()
    cached, gathered = FaceStatistics.of(z), learner.worlds["fer"].faces
    assert cached.n == gathered.n == LEAST
    np.testing.assert_allclose(cached.mean, gathered.mean)
    np.testing.assert_allclose(cached.scatter, gathered.scatter, atol=1e-12)
    tokens = np.random.default_rng(0).normal(size=(5, 7, 3)).astype(np.float16)
    np.testing.assert_allclose(FaceStatistics.of(tokens).mean, tokens.astype(np.float64).mean(axis=(0, 1)))
    with pytest.raises(CiaoError, match="expected z of"):
        FaceStatistics.of(tokens[0])


@pytest.mark.parametrize("damage", [{"n": -1}, {"mean": np.nan}, {"scatter": None}, {"more": 1.0}])
def test_damaged_statistics_are_refused(damage):
    made = FaceStatistics(2)
    made.update(np.eye(2))
    state = tensors(made)
    for name, value in damage.items():
        if value is None:
            del state[name]
        elif name in state:
            state[name].fill_(value)
        else:
            state[name] = torch.tensor(value)
    with pytest.raises(CiaoError, match="face statistics"):
        FaceStatistics.from_tensors(state)


def test_each_labelled_face_counts_once_and_a_restored_world_continues_bit_for_bit():
    stream, learner = begun([FER], 5)
    waiting = stream.frame(FER, labelled=False)
    stream_events.apply(learner, [waiting])
    assert learner.worlds["fer"].faces.n == 5
    twin = stream_events.reborn(learner)
    label = LabelCame(stream.position(), "fer", waiting.frame_id, "glad")
    correction = LabelCame(stream.position(), "fer", waiting.frame_id, "mad")
    rest = [label, correction, *frames(stream, FER, 6)]
    for one in (learner, twin):
        stream_events.apply(one, rest)
        assert one.worlds["fer"].faces.n == 12
    assert same(tensors(learner.worlds["fer"].faces), tensors(twin.worlds["fer"].faces))
    assert stream_events.snapshot(learner) == stream_events.snapshot(twin)


def test_statistics_survive_new_labels_and_wiping_and_a_copy_soon_has_its_own():
    stream, learner = begun([FER], 40)
    world = learner.worlds["fer"]
    before = tensors(world.faces)
    stream_events.apply(learner, [stream.declare(dataclasses.replace(FER, labels=(*FER.labels, "new")))])
    learner.forget_faces()
    assert same(tensors(learner.worlds["fer"].faces), before)
    twin = world.fork("fer#2")
    assert twin.faces.n == LEAST
    for number in range(40):
        twin.frame(f"t{number}", stored_z([face(number, "emoreact")])[0], np.array(0))
    assert same(tensors(world.faces), before)
    bright = pooled(stored_z([face(99, "emoreact")]))
    choice = Prototype([world.world, twin.world])
    assert choice.names[int(choice.scores(bright).argmax())] == "fer#2"


def test_wiping_forgets_statistics_of_few_faces():
    _, learner = begun([FER], LEAST - 1)
    learner.forget_faces()
    assert learner.worlds["fer"].faces.n == 0


def test_the_prototype_finds_worlds_of_every_kind_by_their_faces():
    _, learner = begun()
    choice = Prototype([online.world for online in learner.worlds.values()])
    for task in SHADES:
        scores = choice.scores(pooled(stored_z([face(1000 + i, task) for i in range(9)])))
        assert (scores <= 0).all()
        assert [choice.names[k] for k in scores.argmax(axis=1)] == [task] * 9


def test_the_prototypes_distance_by_hand():
    worlds = [World(TaskSpec(name, "categorical", ("a", "b")), shared(), "dl", False, tiny.small()) for name in "xy"]
    for world, mean in zip(worlds, (0.0, 4.0), strict=True):
        world.faces = FaceStatistics(2)
        corners = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]) * [1, 2.0]
        world.faces.update(np.tile(corners, (LEAST // 4, 1)) + mean)
    scores = Prototype(worlds).scores(np.array([[4.0, 8.0]]))
    np.testing.assert_allclose(scores, [[-(16 / 1 + 64 / 4) / 2, -(16 / 4) / 2]], rtol=1e-2)


def test_too_few_faces_are_not_judged():
    stream, learner = begun([FER], LEAST - 1)
    worlds = [online.world for online in learner.worlds.values()]
    assert Prototype(worlds).names == ()
    stream_events.apply(learner, frames(stream, FER, 1))
    assert Prototype(worlds).names == ("fer",)


def test_a_world_without_statistics_is_refused_in_one_line():
    assert Prototype([]).names == ()
    with pytest.raises(CiaoError, match="world 'fer' cannot be chosen: it has no statistics of its faces; set"):
        Prototype([World(FER, shared(), "dl", False, tiny.small())])


def test_statistics_travel_with_worlds_to_disk_and_to_predictors(tmp_path):
    _, learner = begun([FER, VA])
    Checkpoints(tmp_path / "checkpoints").save(learner)
    assert learner.save_worlds(tmp_path / "worlds") == []
    for source in (CheckpointWorlds(tmp_path / "checkpoints", shared()), ExportedWorlds(tmp_path / "worlds", shared())):
        for world in source.read().worlds.values():
            assert same(tensors(world.faces), tensors(learner.worlds[world.spec.name].faces))
    without = World(FER, shared(), "dl", False, tiny.small())
    without.save(tmp_path / "worlds" / "fer")
    assert World.load(tmp_path / "worlds" / "fer", shared()).faces is None
    path = tmp_path / "worlds" / "affectnet-va" / "faces.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(WorldError, match=r"faces\.safetensors does not have the recorded sha256"):
        World.load(path.parent, shared())
    path.unlink()
    with pytest.raises(WorldError, match=r"faces\.safetensors: No such file"):
        World.load(path.parent, shared())


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("redis"), fsync="no") as server:
        yield server


@pytest.fixture
def predict(server, tmp_path, monkeypatch, capsys):
    """Sends faces of some tasks, and returns a function that runs ``predict`` on them."""
    _, learner = begun()
    Checkpoints(tmp_path / "checkpoints").save(learner)
    monkeypatch.setattr(encoders, "load_encoder", lambda _: tiny.encoder())
    tasks = ["fer", "emoreact", "affectnet-va", "fer", "fer", "emoreact"]
    with server.client() as client:
        client.flushall()
        for i, task in enumerate(tasks):
            about = {"task": "unknown", "frame_id": f"f{i}", "producer": "robot", "seq": i, "camera": "left"}
            client.xadd("frames", encode_frame(write_image(face(500 + i, task)), **about))

    def run(*argv):
        where = ["--redis", server.url, "--worlds", str(tmp_path), "--start", "0-0", "--device", "cpu"]
        code = command.main(["predict", *where, "--json", "--max-frames", str(len(tasks)), *argv])
        printed = capsys.readouterr()
        return code, [json.loads(line) for line in printed.out.splitlines()], printed.err

    return tasks, learner, run


def test_the_command_answers_with_the_world_that_fits_best_and_shows_all_scores(predict):
    tasks, learner, run = predict
    code, found, _ = run("--choose")
    assert code == 0
    assert [result["world"] for result in found] == tasks
    for i, result in enumerate(found):
        scores = result["choice"]["scores"]
        assert result["choice"]["rule"] == "prototype"
        assert set(scores) == set(SHADES)
        assert max(scores, key=scores.get) == result["world"]
        if result["world"] == "affectnet-va":
            expected = learner.predict(face(500 + i, tasks[i]), "affectnet-va")["affectnet-va"]
            assert [*result["values"].values()] == expected.tolist()


def test_the_choice_can_be_smoothed_over_a_cameras_faces(predict):
    tasks, _, run = predict
    _, sharp, _ = run("--choose", "prototype")
    _, found, _ = run("--choose", "prototype", "--smooth", "1000000")
    assert {result["world"] for result in found} == {tasks[0]}
    assert found[0]["choice"] == sharp[0]["choice"]


def test_the_command_chooses_among_the_worlds_of_only_and_refuses_another_rule(predict):
    _, _, run = predict
    code, found, _ = run("--choose", "--only", "fer,emoreact")
    assert code == 0
    assert all(set(result["choice"]["scores"]) == {"fer", "emoreact"} for result in found)
    with pytest.raises(CiaoError, match="expected one of prototype, or none but got 'energy'"):
        PredictSettings(choose="energy")


def test_a_face_is_skipped_and_counted_while_no_world_can_be_chosen(predict, tmp_path):
    _, _, run = predict
    _, learner = begun([FER], 3)
    Checkpoints(tmp_path / "checkpoints").save(learner)
    code, found, errors = run("--choose")
    assert (code, found) == (0, [])
    assert "no_world_fits 6" in errors


def test_a_later_world_that_cannot_be_judged_is_reported_and_dropped(server, tmp_path):
    _, learner = begun([FER])
    reported, stop = [], Stop()
    learner.save_worlds(tmp_path)
    feed = FrameFeed(lambda: server.address, StreamNames("later"), start="0-0")
    worlds = UpToDate(ExportedWorlds(tmp_path, shared()), 0.02)
    one = Predictor(shared(), worlds, feed, PredictSettings(choose="prototype"), stop=stop, tell=reported.append)
    thread = threading.Thread(target=one.run)
    thread.start()
    try:
        with server.client() as client:
            for number, wanted in enumerate(("predicting with fer", "world 'affectnet-va' cannot be chosen")):
                until(lambda: any(wanted in line for line in reported))  # noqa: B023
                header = {"task": "fer", "frame_id": f"f{number}", "producer": "robot", "seq": number}
                client.xadd("later", encode_frame(write_image(face(number, "fer")), **header))
                until(lambda: one.results == number + 1)  # noqa: B023
                if number == 0:
                    World(VA, shared(), "dl", False, tiny.small()).save(tmp_path / "affectnet-va")
    finally:
        stop.request()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()
