"""The replay memory: bounded, balanced over classes, uniform otherwise, and restored identically."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ciao_stream.stream.learner.replay import Replay, Sample, stack
from tests.helpers import tiny

FER = tiny.SPECS["categorical"]
SHAPE = (2, 1, 1)


def sample(number, target=0, spec=FER):
    row = np.array(target, dtype=np.int64 if spec.kind == "categorical" else np.float32)
    return Sample(f"f{number}", torch.full(SHAPE, number % 1000, dtype=torch.float16), row)


def memory(capacity=10, spec=FER, seed=0):
    return Replay(spec, capacity, SHAPE, seed)


def ids(replay):
    return replay.state().values["ids"]


def reborn(replay):
    again = memory(replay.capacity, replay.spec)
    again.load(replay.state())
    return again


def same(one, other):
    a, b = one.state(), other.state()
    return a.values == b.values and all(torch.equal(a.tensors[k], b.tensors[k]) for k in a.tensors)


def test_everything_is_kept_until_the_memory_is_full():
    replay = memory(5)
    assert all(replay.offer(sample(i, i % 3)) for i in range(5))
    assert ids(replay) == [f"f{i}" for i in range(5)]
    assert replay.counts() == {"calm": 2, "glad": 2, "mad": 1}


def test_classes_are_balanced_although_the_stream_is_not():
    replay, rng = memory(60), np.random.default_rng(0)
    for i in range(4000):
        replay.offer(sample(i, rng.choice(3, p=[0.9, 0.08, 0.02])))
    assert replay.counts() == {"calm": 20, "glad": 20, "mad": 20}


def test_a_rare_class_is_kept_whole_though_it_came_first():
    replay = memory(30)
    for i in range(3000):
        replay.offer(sample(i, 2 if i < 5 else 0))
    assert replay.counts() == {"calm": 25, "glad": 0, "mad": 5}
    assert ids(replay)[:5] == [f"f{i}" for i in range(5)]


def test_within_a_class_every_sample_is_kept_with_the_same_probability():
    kept = np.zeros(80)
    for seed in range(600):
        replay = memory(20, seed=seed)
        for i in range(80):
            replay.offer(sample(i, i % 2))
        kept[[int(name[1:]) for name in ids(replay)]] += 1
    assert kept.sum() == 600 * 20
    assert np.abs(kept / 600 - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / 600)
    assert abs(kept[:20].mean() - kept[-20:].mean()) / 600 < 0.03


@pytest.mark.parametrize("kind", ["dimensional", "multilabel"])
def test_without_classes_every_sample_is_kept_with_the_same_probability(kind):
    spec, kept = tiny.SPECS[kind], np.zeros(80)
    for seed in range(600):
        replay = memory(20, spec, seed)
        for i in range(80):
            replay.offer(sample(i, np.full(spec.n_out, float(i < 4)), spec))
        kept[[int(name[1:]) for name in ids(replay)]] += 1
    assert np.abs(kept / 600 - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / 600)
    assert abs(kept[:20].mean() - kept[-20:].mean()) / 600 < 0.03


def test_votes_are_balanced_by_the_class_with_most_votes():
    spec = tiny.SPECS["votes"]
    replay = memory(20, spec)
    for i in range(500):
        replay.offer(sample(i, [0.1, 0.6, 0.3] if i % 50 == 0 else [0.8, 0.1, 0.1], spec))
    assert replay.counts() == {"calm": 10, "glad": 10, "mad": 0}


def test_a_draw_has_no_repeats_and_depends_only_on_its_turn():
    replay = memory(10)
    for i in range(10):
        replay.offer(sample(i, i % 3))
    z, y = replay.draw(6, turn=3)
    assert (z.shape, z.dtype, y.dtype) == ((6, *SHAPE), torch.float16, torch.int64)
    assert len(set(z[:, 0, 0, 0].tolist())) == 6
    assert torch.equal(z[:, 0, 0, 0].long() % 3, y), "faces come with their own targets"
    torch.rand(1)
    assert all(torch.equal(a, b) for a, b in zip(replay.draw(6, turn=3), (z, y), strict=True))
    assert not torch.equal(replay.draw(6, turn=4)[0], z)
    assert len(replay.draw(99, turn=0)[0]) == 10
    assert len(memory().draw(5, turn=0)[0]) == 0


def test_returned_samples_are_copies():
    replay = memory(4)
    replay.offer(sample(1, 1))
    z, y = replay.draw(1, turn=0)
    got = replay.get("f1")
    for tensor in (z, y, got.z):
        tensor.zero_()
    got.target[...] = 0
    assert int(replay.get("f1").target) == 1
    assert float(replay.get("f1").z.sum()) == 2
    assert replay.get("f2") is None


def test_a_corrected_sample_changes_its_class_and_keeps_its_slot():
    replay = memory(6)
    for i in range(6):
        replay.offer(sample(i, 0))
    replay.correct("f2", np.array(1))
    assert replay.counts() == {"calm": 5, "glad": 1, "mad": 0}
    assert replay.offer(sample(2, 2))
    assert (replay.counts(), len(replay)) == ({"calm": 5, "glad": 0, "mad": 1}, 6)


def test_an_emptied_memory_behaves_like_a_new_one():
    replay = memory(3)
    for i in range(50):
        replay.offer(sample(i, 0))
    replay.clear()
    assert len(replay) == 0
    assert all(replay.offer(sample(i, 0)) for i in range(100, 103))
    assert ids(replay) == ["f100", "f101", "f102"]


@pytest.mark.parametrize("kind", ["categorical", "votes", "multilabel"])
def test_no_old_sample_has_a_new_label(kind):
    spec = tiny.SPECS[kind]
    wider = dataclasses.replace(spec, labels=(*spec.labels, "new"))
    replay = memory(8, spec)
    old = 1 if kind == "categorical" else np.eye(spec.n_out)[1]
    for i in range(20):
        replay.offer(sample(i, old, spec))
    replay.grow(wider)
    new = spec.n_out if kind == "categorical" else np.eye(wider.n_out)[-1]
    for i in range(20, 23):
        replay.offer(sample(i, new, wider))
    assert replay.counts()["new"] == (3 if wider.has_classes else replay.counts()["new"])
    assert sum(replay.counts().values()) == 8
    assert same(replay, reborn(replay))


@tiny.examples(max_examples=30)
@given(
    kind=st.sampled_from([*tiny.SPECS]),
    capacity=st.integers(1, 8),
    actions=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2), st.sampled_from("ooooocx")), max_size=60),
)
def test_a_restored_memory_continues_identically_after_any_actions(kind, capacity, actions):
    spec = tiny.SPECS[kind]
    one = other = memory(capacity, spec)
    for number, cls, action in actions:
        target = cls if kind == "categorical" else np.eye(spec.n_out)[cls % spec.n_out]
        other = reborn(other)
        for replay in {id(one): one, id(other): other}.values():
            if action == "x":
                replay.clear()
            elif action == "o":
                replay.offer(sample(number, target, spec))
            elif replay.get(f"f{number}") is not None:
                replay.correct(f"f{number}", sample(number, target, spec).target)
        assert same(one, other)
        assert len(one) == len(set(ids(one))) <= capacity
        if len(one):
            assert all(float(one.get(name).z[0]) == int(name[1:]) for name in ids(one))


def test_a_stack_has_the_layout_of_the_kind():
    z, y = stack([sample(1, 2), sample(2, 0)])
    assert (z.shape, y.tolist(), y.dtype) == ((2, *SHAPE), [2, 0], torch.int64)
    spec = tiny.SPECS["multilabel"]
    assert stack([sample(1, [1, 0, 0, 1], spec)])[1].tolist() == [[1, 0, 0, 1]]
