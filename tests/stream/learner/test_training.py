"""Steps, class priors, new labels and optimiser state of an online world."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ciao_stream.encoders.base import state_sha256
from ciao_stream.runtime.seeds import seeded_torch
from ciao_stream.stream.learner.training import grow, guarded_step, log_shift, read_state, write_state
from ciao_stream.worlds.settings import PRESETS, HeadSettings
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
    wider,
)

FER = tiny.SPECS["categorical"]
PLAIN = dataclasses.replace(
    PRESETS["online"],
    head=HeadSettings(pool="mean", hidden=(), start="zero"),
    contrast_weight=0.0,
    lr=0.03,
    mask_rate=1.0,
)
COUNTS = st.lists(st.integers(0, 10_000), min_size=2, max_size=9).map(np.array)


@given(COUNTS, st.integers(1, 64), st.integers(0, 500))
def test_there_is_no_shift_while_the_memory_holds_everything(counts, new, drawn):
    np.testing.assert_allclose(log_shift("stream", new, drawn, counts, counts), 0, atol=1e-6)


@given(COUNTS, COUNTS, st.integers(1, 64), st.integers(0, 500), st.sampled_from(["stream", "even"]))
def test_the_shift_maps_the_assumed_shares_to_those_of_the_mixture(seen, kept, new, drawn, prior):
    n = min(len(seen), len(kept))
    seen, kept = seen[:n], kept[:n]
    stream, memory = ((c + 1) / (c + 1).sum() for c in (seen, kept))
    assumed = stream if prior == "stream" else np.full(n, 1 / n)
    mixture = assumed * np.exp(log_shift(prior, new, drawn, seen, kept).astype(float))
    assert mixture.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(mixture, (new * stream + drawn * memory) / (new + drawn), rtol=1e-4)


def answered(shares, settings, n=600):
    """Mean prediction of a world for faces without information on their class, for classes with the given shares."""
    stream, online = Stream(), learner(settings, PLAIN)
    online.apply(stream.declare(FER))
    for label in stream.rng.choice(FER.labels, n, p=shares):
        image = stream.rng.integers(0, 256, (tiny.SIZE, tiny.SIZE)).astype(np.uint8)
        online.apply(dataclasses.replace(stream.frame(FER), image=image, label=str(label)))
    faces = stream.rng.integers(0, 256, (50, tiny.SIZE, tiny.SIZE)).astype(np.uint8)
    outputs = torch.from_numpy(np.stack([online.predict(face)[FER.name] for face in faces]))
    return online.worlds[FER.name].replay.kept, outputs.softmax(dim=1).mean(dim=0).numpy()


@pytest.mark.parametrize("prior", ["stream", "even"])
def test_predictions_assume_the_chosen_prior_whatever_the_memory_holds(prior):
    shares = np.array([0.1, 0.25, 0.65])
    settings = dataclasses.replace(QUICK, replay_ratio=7.0, replay_capacity=60, class_prior=prior, fall_steps=0)
    kept, answer = answered(shares, settings)
    wanted = shares if prior == "stream" else np.full(FER.n_out, 1 / FER.n_out)
    assert np.abs(kept / kept.sum() - shares).max() > 0.2, "otherwise there is nothing to adjust"
    np.testing.assert_allclose(answer, wanted, atol=0.08)


@pytest.mark.parametrize("prior", ["stream", "even"])
def test_predictions_assume_the_chosen_prior_without_a_memory_too(prior):
    shares = np.array([0.1, 0.25, 0.65])
    _, answer = answered(shares, dataclasses.replace(QUICK, replay_ratio=0, class_prior=prior, fall_steps=0))
    np.testing.assert_allclose(answer, shares if prior == "stream" else np.full(FER.n_out, 1 / FER.n_out), atol=0.12)


def test_tasks_without_classes_have_no_prior():
    for kind in ("dimensional", "multilabel"):
        spec = tiny.SPECS[kind]
        ends = []
        for prior in ("stream", "even"):
            stream, online = Stream(), learner(dataclasses.replace(QUICK, class_prior=prior))
            online.apply(stream.declare(spec))
            apply(online, stream.frames(spec, 40))
            ends.append(online.worlds[spec.name].world.sha256())
        assert ends[0] == ends[1]


@pytest.mark.parametrize("kind", ["categorical", "votes", "multilabel"])
def test_new_labels_leave_the_old_outputs_bit_for_bit(kind):
    spec = tiny.SPECS[kind]
    stream, online = begun(spec=spec, n=10)
    apply(online, [stream.frame(spec, labelled=False)])
    face, world = stream.frame(spec).image, online.worlds[spec.name]
    before, weights, moments = online.predict(face)[spec.name], tiny.frozen_copy(world.world), moments_of(world)
    assert online.apply(stream.declare(wider(spec))).outcome == "grown"
    after = online.predict(face)[spec.name]
    assert np.array_equal(after[: spec.n_out], before)
    assert after.shape == (spec.n_out + 2,)
    for name, tensor in world.world.state_dict().items():
        assert torch.equal(tensor[: len(weights[name])] if tensor.ndim else tensor, weights[name])
    for name, tensor in moments_of(world).items():
        old = moments[name]
        assert torch.equal(tensor[: len(old)] if tensor.ndim else tensor, old)
        assert not (tensor.ndim and tensor[len(old) :].any())
    grown = wider(spec)
    applied = apply(online, [stream.label(grown, f"f{stream.n - 2}"), *stream.frames(grown, 12)])
    assert applied[0].evaluated
    assert world.counts["steps"] == 5
    assert online.tasks[spec.name] == grown


@pytest.mark.parametrize("preset", [tiny.DEFAULT, tiny.PAPER], ids=["default", "paper"])
def test_growing_by_no_label_changes_nothing(preset):
    one = WorldLearner(World(FER, shared(), "dl", True, tiny.small(preset)))
    x, y = tiny.batch(shared(), level="z")
    one.step(x, y)
    other = grow(one, FER, seed=0)
    for learning in (one, other):
        with seeded_torch(1, "test"):
            learning.step(x, y)
    assert state_sha256(one.world) == state_sha256(other.world)


def test_restored_moments_have_the_memory_layout_of_their_parameters():
    one, other = (WorldLearner(World(FER, shared(), "dl", True, tiny.small(weight_decay=0.0))) for _ in range(2))
    x, y = tiny.batch(shared(), level="z")
    one.step(x, y)
    other.world.load_state_dict(one.world.state_dict())
    dense = {name: tensor.contiguous() for name, tensor in read_state(one.optimizers[0]).items()}
    write_state(other.optimizers[0], dense)
    weight = one.world.mask.inhibition.weight
    assert not weight.is_contiguous(), "otherwise both layouts are the same"
    for learning in (one, other):
        with seeded_torch(1, "test"):
            learning.step(x, y)
    assert state_sha256(one.world) == state_sha256(other.world)


@pytest.mark.parametrize("preset", [tiny.DEFAULT, tiny.PAPER], ids=["default", "paper"])
@pytest.mark.parametrize("place", ["mask.raw_a", "head.layers.3.weight"])
def test_a_step_that_is_not_finite_changes_nothing(preset, place):
    one = WorldLearner(World(FER, shared(), "dl", True, tiny.small(preset)))
    x, y = tiny.batch(shared(), level="z")
    guarded_step(one, x, y)
    parameters = dict(one.world.named_parameters())
    place = place if place in parameters else "head.layers.2.weight"
    moments = moments_of(one)
    with torch.no_grad():
        parameters[place].view(-1)[0] = float("nan")
    broken = state_sha256(one.world)
    assert guarded_step(one, x, y) is None
    assert state_sha256(one.world) == broken
    assert equal(moments_of(one), moments)


def test_a_guarded_step_is_the_step():
    one, other = (WorldLearner(World(FER, shared(), "dl", True, tiny.small(tiny.PAPER))) for _ in range(2))
    x, y = tiny.batch(shared(), level="z")
    for _ in range(3):
        with seeded_torch(0, "test"):
            losses = guarded_step(one, x, y)
        with seeded_torch(0, "test"):
            assert other.step(x, y) == losses
    assert state_sha256(one.world) == state_sha256(other.world)


@pytest.mark.parametrize("learned", [0, 8])
@pytest.mark.parametrize("preset", [tiny.DEFAULT, tiny.PAPER], ids=["default", "paper"])
def test_steps_that_are_not_finite_are_counted_and_learning_continues(monkeypatch, preset, learned):
    stream, online = begun(NO_REPLAY, world=tiny.small(preset), n=learned + 3)
    world = online.worlds["fer"]
    before, moments = state_sha256(world.world), moments_of(world)
    monkeypatch.setattr("ciao_stream.worlds.training.decision_loss", lambda _s, outputs, _t: outputs.sum() * torch.inf)
    assert online.apply(stream.frame(FER)).steps == 0
    assert (world.counts["steps_not_finite"], world.counts["steps"]) == (1, learned // 4)
    assert state_sha256(world.world) == before
    assert equal(moments_of(world), moments)
    monkeypatch.undo()
    assert [a.steps for a in apply(online, stream.frames(FER, 4))] == [0, 0, 0, 1]
