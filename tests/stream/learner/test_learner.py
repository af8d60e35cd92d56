"""The online learner: predicts, evaluates, then learns; one world at a time; the same code as offline."""

import dataclasses
import math
import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from ciao_stream.encoders.base import state_sha256
from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.runtime.options import from_json, to_json
from ciao_stream.runtime.seeds import seeded_torch
from ciao_stream.stream.learner.settings import StreamSettings
from ciao_stream.stream.learner.world import STEP, OnlineWorld
from ciao_stream.stream.log.events import TaskDeclared
from ciao_stream.stream.log.labels import label_target
from ciao_stream.stream.log.refusals import BadMessage
from ciao_stream.worlds.training import WorldLearner
from ciao_stream.worlds.world import World
from tests.helpers import tiny
from tests.helpers.stream_events import (
    NO_REPLAY,
    QUICK,
    Stream,
    apply,
    begun,
    equal,
    learner,
    moments_of,
    shared,
    snapshot,
    wider,
)

FER, VOTES, KINDS = tiny.SPECS["categorical"], tiny.SPECS["votes"], [*tiny.SPECS]


def encoded(event):
    return shared().stored_z(torch.from_numpy(shared().preprocessing.fit(event.image)[None]))


@pytest.mark.parametrize("preset", [tiny.DEFAULT, tiny.PAPER], ids=["default", "paper"])
@pytest.mark.parametrize("kind", KINDS)
def test_online_and_offline_give_the_same_parameters_bit_for_bit(kind, preset):
    spec, settings = tiny.SPECS[kind], tiny.small(preset)
    stream, online = begun(NO_REPLAY, spec, settings)
    frames = stream.frames(spec, 22)
    apply(online, frames)

    offline = WorldLearner(World(spec, shared(), "dl", True, settings))
    for step in range(5):
        batch = frames[4 * step : 4 * step + 4]
        x = torch.cat([encoded(event) for event in batch]).float()
        y = torch.from_numpy(np.stack([label_target(spec, event.label) for event in batch]))
        offline.set_rate(1 / math.sqrt(1 + step / 2))
        with seeded_torch(0, STEP, spec.name, step):
            offline.step(x, y)
    assert online.worlds[spec.name].counts["steps"] == 5
    assert state_sha256(online.worlds[spec.name].world) == state_sha256(offline.world)
    assert state_sha256(offline.world) != state_sha256(World(spec, shared(), "dl", True, settings))


@pytest.mark.parametrize("kind", KINDS)
def test_learning_in_one_world_leaves_the_others_and_the_encoder_bit_identical(kind):
    encoder = tiny.encoder()
    online, stream = learner(encoder=encoder), Stream()
    apply(online, [stream.declare(spec) for spec in tiny.SPECS.values()])
    for spec in tiny.SPECS.values():
        apply(online, stream.frames(spec, 8))
    spec, face = tiny.SPECS[kind], stream.frame(FER).image
    others = {name: world for name, world in online.worlds.items() if name != spec.name}
    before = {name: tiny.frozen_copy(world.world) for name, world in others.items()}
    moments = {name: moments_of(world) for name, world in others.items()}
    own, answers, fingerprint = (
        tiny.frozen_copy(online.worlds[spec.name].world),
        online.predict(face),
        encoder.fingerprint(),
    )
    apply(online, stream.mixed([spec], 60)[1:])

    assert tiny.moved(own, online.worlds[spec.name].world)
    for name, world in others.items():
        assert not tiny.moved(before[name], world.world)
        assert equal(moments_of(world), moments[name])
        assert np.array_equal(online.predict(face)[name], answers[name])
    assert encoder.fingerprint() == fingerprint


def test_predicting_has_no_side_effects():
    stream, online = begun(n=10)
    before, face = snapshot(online), stream.frame(FER).image
    random = torch.get_rng_state()
    answers = [online.predict(face)["fer"] for _ in range(3)]
    online.report()
    assert snapshot(online) == before
    assert torch.equal(torch.get_rng_state(), random)
    assert all(np.array_equal(answers[0], answer) for answer in answers)
    apply(online, stream.frames(FER, 4))
    assert not np.array_equal(online.predict(face)["fer"], answers[0])


def test_a_frame_is_predicted_before_its_label_is_learned():
    stream, online = begun(dataclasses.replace(QUICK, micro_batch=2), n=9)
    frame = stream.frame(FER)
    before = online.predict(frame.image)["fer"]
    applied = online.apply(frame)
    assert (applied.outcome, applied.evaluated, applied.steps) == ("learned", True, 1)
    assert np.array_equal(applied.outputs, before)
    assert not np.array_equal(online.predict(frame.image)["fer"], before)


def test_a_stream_is_learned():
    _, online = begun(
        dataclasses.replace(QUICK, replay_capacity=50, replay_ratio=3, window=60), world=tiny.small(lr=0.01), n=300
    )
    figures = online.report()["worlds"]["fer"]["prequential"]
    assert figures["n"] == 300
    assert figures["rolling"]["accuracy"] > 0.9


def test_a_micro_batch_counts_labelled_frames_of_one_world_only():
    stream, online = Stream(), learner(NO_REPLAY)
    apply(online, [stream.declare(FER), stream.declare(VOTES)])
    pattern = [FER, FER, VOTES, None, FER, None, VOTES, FER, VOTES, VOTES]
    steps = [online.apply(stream.frame(spec or FER, labelled=spec is not None)).steps for spec in pattern]
    assert steps == [0, 0, 0, 0, 0, 0, 0, 1, 0, 1]


def test_a_late_label_evaluates_the_prediction_made_when_the_frame_came():
    stream, online = begun(n=3)
    frame = stream.frame(FER, labelled=False)
    came = online.apply(frame)
    assert (came.outcome, came.evaluated) == ("waiting", False)
    apply(online, stream.frames(FER, 8))
    n = online.worlds["fer"].prequential.n
    applied = online.apply(stream.label(FER, frame.frame_id))
    assert (applied.outcome, applied.evaluated) == ("learned", True)
    assert np.array_equal(applied.outputs, came.outputs)
    assert not np.array_equal(online.predict(frame.image)["fer"], came.outputs)
    world = online.worlds["fer"]
    assert (world.prequential.n, world.counts["late_labels"], len(world.pending)) == (n + 1, 1, 0)


def test_waiting_frames_are_evicted_and_their_labels_become_orphans():
    stream, online = begun()
    frames = [stream.frame(FER, labelled=False) for _ in range(5)]
    apply(online, frames)
    assert len(online.worlds["fer"].pending) == QUICK.pending_capacity == 3
    outcomes = [a.outcome for a in apply(online, [stream.label(FER, frame.frame_id) for frame in frames])]
    assert outcomes == ["orphan", "orphan", "learned", "learned", "learned"]
    counts = online.worlds["fer"].counts
    assert (counts["made_way_unlabelled"], counts["orphan_labels"], counts["labelled"]) == (2, 2, 3)


def relabelled(stream, frame, label):
    return dataclasses.replace(stream.label(FER, frame.frame_id), label=label)


def other_label(frame):
    return next(label for label in FER.labels if label != frame.label)


def test_a_correction_is_learned_as_a_new_sample_and_not_evaluated_again():
    stream, online = begun(dataclasses.replace(QUICK, replay_capacity=100), n=12)
    frame = stream.frame(FER)
    apply(online, [frame, *stream.frames(FER, 3)])
    world = online.worlds["fer"]
    steps, n = world.counts["steps"], world.prequential.n
    applied = online.apply(relabelled(stream, frame, other_label(frame)))
    assert (applied.outcome, applied.evaluated, applied.steps) == ("corrected", False, 0)
    wanted = FER.labels.index(other_label(frame))
    assert int(world.replay.get(frame.frame_id).target) == wanted
    assert [(s.frame_id, int(s.target)) for s in world.batch] == [(frame.frame_id, wanted)]
    apply(online, stream.frames(FER, 3))
    assert (world.counts["steps"], world.prequential.n) == (steps + 1, n + 3)
    assert len(world.replay) == 19, "the corrected sample is in the memory once"


def test_a_correction_replaces_a_sample_that_is_not_learned_yet():
    stream, online = begun()
    frame = stream.frame(FER)
    online.apply(frame)
    assert online.apply(relabelled(stream, frame, other_label(frame))).outcome == "corrected"
    batch = online.worlds["fer"].batch
    assert [FER.labels[int(sample.target)] for sample in batch] == [other_label(frame)]


def test_a_second_correction_replaces_the_first():
    stream, online = begun(dataclasses.replace(QUICK, replay_capacity=100), n=11)
    frame, world = stream.frame(FER), online.worlds["fer"]
    online.apply(frame)
    for label in (label for label in FER.labels if label != frame.label):
        assert online.apply(relabelled(stream, frame, label)).outcome == "corrected"
        assert [FER.labels[int(sample.target)] for sample in world.batch] == [label]
        assert FER.labels[int(world.replay.get(frame.frame_id).target)] == label


def test_a_face_that_is_only_in_the_replay_memory_can_be_corrected():
    stream, online = begun(n=8)
    world = online.worlds["fer"]
    old = next(i for i in world.replay.state().values["ids"] if world.recent.get(i) is None)
    assert online.apply(stream.label(FER, old)).outcome == "corrected"
    assert world.batch[0].frame_id == old


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"kind": "votes"}, "exists and is categorical, not votes"),
        ({"labels": ("glad", "calm", "mad")}, "with labels calm, glad, mad: expected these first"),
        ({"labels": ("calm", "glad")}, "with labels calm, glad, mad: expected these first"),
    ],
)
def test_a_task_cannot_become_another(changed, expected):
    stream, online = begun(n=5)
    before = snapshot(online)
    with pytest.raises(BadMessage, match=expected):
        online.apply(stream.declare(dataclasses.replace(FER, **changed)))
    assert snapshot(online) == before


def test_a_dimensional_task_gets_no_new_dimensions():
    spec = tiny.SPECS["dimensional"]
    stream, online = begun(spec=spec)
    with pytest.raises(BadMessage, match="cannot get new dimensions"):
        online.apply(stream.declare(wider(spec)))


def test_an_invalid_event_changes_nothing():
    stream, online = begun(n=5)
    before, frame = snapshot(online), stream.frame(FER)
    with pytest.raises(UnknownNameError, match="unknown task 'fir': did you mean 'fer'"):
        online.apply(dataclasses.replace(frame, task="fir"))
    with pytest.raises(CiaoError, match="did you mean 'glad'"):
        online.apply(dataclasses.replace(frame, label="gladd"))
    with pytest.raises(CiaoError, match=r"expected the declaration of task .ferplus. but its name is .fer."):
        online.apply(TaskDeclared(stream.position(), "ferplus", FER))
    with pytest.raises(UnknownNameError, match="unknown world"):
        online.predict(frame.image, "fir")
    assert snapshot(online) == before


def test_an_event_is_not_applied_twice():
    stream, online = begun()
    frame = stream.frame(FER)
    online.apply(frame)
    with pytest.raises(ValueError, match=r"expected an event after .*, the last one applied"):
        online.apply(frame)
    online.skip("1800000000000-0")
    with pytest.raises(ValueError, match=r"expected an event after .*, the last one applied"):
        online.apply(stream.frame(FER))


def test_no_step_is_taken_on_a_single_sample():
    stream, online = begun(dataclasses.replace(QUICK, micro_batch=1, replay_ratio=0.1))
    assert [online.apply(stream.frame(FER)).steps for _ in range(3)] == [0, 1, 1]
    assert online.worlds["fer"].counts["steps_too_small"] == 1


DRIFTING = dataclasses.replace(QUICK, detector="dummy")  # signals at every 300th prediction


def test_drift_is_reported_but_not_answered_by_default():
    _, online = begun(DRIFTING)
    quiet = learner()
    stream = Stream()
    events = [stream.declare(FER), *stream.frames(FER, 302)]
    online = learner(DRIFTING)
    results = apply(online, events)
    apply(quiet, events)
    assert [number for number, applied in enumerate(results) if "dummy" in applied.drift] == [300]
    assert state_sha256(online.worlds["fer"].world) == state_sha256(quiet.worlds["fer"].world)
    assert online.report()["worlds"]["fer"]["prequential"]["drift"]["dummy"] == 1


def rates_of(online, events):
    """The learning rates of the steps that these events cause."""
    optimizer = online.worlds["fer"].learner.optimizers[0]
    return [optimizer.param_groups[0]["lr"] for event in events if online.apply(event).steps]


def test_the_learning_rate_decays():
    stream, online = begun(dataclasses.replace(QUICK, fall_steps=2))
    rates = rates_of(online, stream.frames(FER, 4 * QUICK.micro_batch))
    assert rates == pytest.approx([1e-3 / math.sqrt(1 + step / 2) for step in range(4)])


@pytest.mark.parametrize("fall", [0, 10])
def test_drift_raises_the_learning_rate_for_a_while_and_restarts_its_decay(fall):
    settings = dataclasses.replace(DRIFTING, on_drift="raise-rate", drift_rate=5.0, drift_steps=2, fall_steps=fall)
    stream, online = begun(settings, n=299)
    rates = rates_of(online, stream.frames(FER, 17))
    fallen = [1 / math.sqrt(1 + step / 10) if fall else 1 for step in range(5)]
    assert rates == pytest.approx(np.multiply([5e-3, 5e-3, 1e-3, 1e-3, 1e-3], fallen))


def test_drift_empties_the_memory():
    stream, online = begun(dataclasses.replace(DRIFTING, on_drift="refresh-replay"), n=299)
    old = set(online.worlds["fer"].replay.state().values["ids"])
    online.apply(stream.frame(FER))
    kept = online.worlds["fer"].replay.state().values["ids"]
    assert len(old) == QUICK.replay_capacity
    assert len(kept) == QUICK.micro_batch, "the samples of the last micro-batch"
    assert not old & set(kept)


def test_drift_creates_a_new_world_and_leaves_the_old_one_unchanged():
    settings = dataclasses.replace(DRIFTING, on_drift="new-world", worlds_per_task=2)
    stream, online = begun(settings, n=298)
    waiting = stream.frame(FER, labelled=False)
    apply(online, [waiting, stream.frame(FER)])
    applied = online.apply(stream.frame(FER))
    assert (applied.world, applied.opened) == ("fer", "fer#2")
    assert [*online.worlds] == ["fer", "fer#2"]
    face, old = stream.frame(FER).image, tiny.frozen_copy(online.worlds["fer"].world)
    answer = online.predict(face)["fer"]
    assert np.array_equal(online.predict(face)["fer#2"], answer) is bool(applied.steps == 0)
    results = apply(online, [*stream.frames(FER, 20), stream.label(FER, waiting.frame_id), stream.declare(wider(FER))])
    assert {a.world for a in results} == {"fer#2"}
    assert results[-2].evaluated
    assert not tiny.moved(old, online.worlds["fer"].world)
    assert np.array_equal(online.predict(face)["fer"], answer)
    assert (online.worlds["fer"].spec.n_out, online.of("fer").spec.n_out, online.tasks["fer"]) == (3, 5, wider(FER))
    results = apply(online, stream.frames(FER, 300))
    assert [a.opened for a in results if a.drift == ("dummy",)] == [None]
    assert len(online.worlds) == 2


def test_the_learning_rate_is_the_worlds_unless_given():
    for lr, wanted in ((None, 1e-3), (0.25, 0.25)):
        _, online = begun(dataclasses.replace(QUICK, lr=lr), n=4)
        assert online.worlds["fer"].learner.optimizers[0].param_groups[0]["lr"] == wanted


@pytest.mark.parametrize(("scheme", "masked", "level"), [("dl", False, "u"), ("lc", True, "z"), ("lc", False, "z")])
def test_other_schemes_learn(scheme, masked, level):
    _, online = begun(dataclasses.replace(QUICK, scheme=scheme, masked=masked), n=8)
    world: OnlineWorld = online.worlds["fer"]
    assert (world.world.level, world.world.scheme, world.counts["steps"]) == (level, scheme, 2)


@pytest.mark.filterwarnings("ignore:for .* copying from a non-meta parameter")
def test_worlds_are_on_the_encoders_device():
    """As on a GPU: ``meta`` is a device of every machine; it holds shapes but no numbers."""
    _, online = begun(n=8, world=tiny.small(optimizer="adam"))
    encoder = tiny.encoder().to("meta")
    fresh = OnlineWorld.fresh(FER, encoder, QUICK, tiny.small(), seed=0)
    restored = OnlineWorld.restored(online.worlds["fer"].state(), encoder, QUICK, seed=0)
    twin, moments = fresh.fork("fer#2"), moments_of(restored)
    fresh.grow(wider(FER))
    tensors = [t for one in (fresh, twin, restored) for t in one.world.state_dict().values()]
    assert any(name.endswith("step") for name in moments), "otherwise no scalar is tested"
    assert {t.device.type for t in [*tensors, *moments.values()]} == {"meta"}


def test_all_bad_settings_are_listed_in_one_message():
    with pytest.raises(CiaoError) as caught:
        StreamSettings(micro_batch=0, lr=-1, fading=1, detector="adwim", masked=1, replay_ratio=float("nan"))
    expected = str(caught.value)
    for name in ("micro_batch", "lr", "fading", "detector", "masked", "replay_ratio"):
        assert f"{name}: expected" in expected
    with pytest.raises(CiaoError, match="replay_ratio: expected more than 0 for a micro-batch of 1"):
        StreamSettings(micro_batch=1, replay_ratio=0)


def test_settings_survive_json():
    settings = StreamSettings(lr=0.5, detector="page-hinkley", on_drift="new-world")
    assert from_json(StreamSettings, to_json(settings), "stream setting") == settings
    with pytest.raises(UnknownNameError, match="unknown stream setting 'microbatch': did you mean 'micro_batch'"):
        from_json(StreamSettings, {"microbatch": 3}, "stream setting")
    with pytest.raises(CiaoError, match="expected an object"):
        from_json(StreamSettings, ["micro_batch"], "stream setting")


def resident():
    """Resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_memory_is_flat_over_20000_events():
    settings = StreamSettings(
        micro_batch=64, replay_ratio=1, replay_capacity=200, masked=False, on_drift="new-world", detector="dummy"
    )
    stream, online = begun(settings)
    rss, sizes = [], []
    for _ in range(4):
        for turn in range(1250):
            late = [stream.label(FER, f"f{max(2, stream.n - 2 - 4 * k)}") for k in stream.rng.integers(400, size=3)]
            apply(online, [*late, stream.frame(FER, labelled=turn % 4 == 0)])
        rss.append(resident())
        sizes.append(sum(t.nbytes for t in online.to_state().tensors.values()))
    assert online.n_applied == 20_001
    assert len(online.worlds) == settings.worlds_per_task
    assert sizes[-1] < sizes[1] * 1.2
    assert rss[-1] - rss[1] < 6 * 2**20
    counts = online.of(FER.name).counts
    assert min(counts[name] for name in ("late_labels", "corrections", "orphan_labels", "made_way_unlabelled")) > 20
