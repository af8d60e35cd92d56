"""Checkpoints: a learner that is saved and restored continues bit for bit as if nothing had happened."""

import dataclasses
import gc
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.learner import checkpoint
from ciao_stream.stream.learner.checkpoint import Checkpoints, DamagedCheckpointError, decode, encode, read
from tests.helpers import stream_events, tiny
from tests.helpers.stream_events import QUICK, Stream, apply, learner, reborn, shared, snapshot

FER = tiny.SPECS["categorical"]
WIDER = dataclasses.replace(FER, labels=(*FER.labels, "sad"))
SETTINGS = {
    "default head": (QUICK, tiny.small()),
    "paper": (dataclasses.replace(QUICK, steps=2), tiny.small(tiny.PAPER)),
    "sgd with momentum": (dataclasses.replace(QUICK, scheme="lc"), tiny.small(optimizer="sgd", momentum=0.9)),
    "head only": (dataclasses.replace(QUICK, masked=False), tiny.small()),
    "low-rank mask": (QUICK, tiny.small(mask="low-rank")),
}


def same(a, b):
    """Whether the results of two events are equal, bit for bit."""
    pairs = ((getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    return all(np.array_equal(x, y) if isinstance(x, np.ndarray) else x == y for x, y in pairs)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_restored_learner_continues_bit_for_bit_from_any_event(name):
    events = Stream(1).mixed([tiny.SPECS["categorical"], tiny.SPECS["multilabel"]], 36)
    whole, stopped = learner(*SETTINGS[name]), learner(*SETTINGS[name])
    results = apply(whole, events)
    assert sum(w.counts["steps"] for w in whole.worlds.values()) >= 5
    for split, event in enumerate(events):
        if split % (1 if name == "default head" else 6) == 0:
            resumed = reborn(stopped)
            assert all(map(same, apply(resumed, events[split:]), results[split:])), split
            assert snapshot(resumed) == snapshot(whole), split
        stopped.apply(event)


def test_a_learner_saved_and_restored_throughout_equals_one_that_never_was():
    settings = dataclasses.replace(QUICK, on_drift="new-world", detector="dummy", micro_batch=8)
    stream = Stream(2)
    declared = stream.declare(FER)
    events = [declared, *stream.frames(FER, 150), stream.declare(WIDER), *stream.frames(WIDER, 190)]
    whole, resumed = learner(settings), learner(settings)
    for number, event in enumerate(events):
        whole.apply(event)
        if number % 5 == 0:
            resumed = reborn(resumed)
        resumed.apply(event)
    assert [*whole.worlds] == ["fer", "fer#2"]
    assert snapshot(whole) == snapshot(resumed)


@tiny.examples(max_examples=8)
@given(st.integers(0, 2**16), st.lists(st.integers(0, 32), max_size=3))
def test_any_stream_can_be_stopped_anywhere_any_number_of_times(seed, stops):
    kinds = ["categorical", "multilabel"] if seed % 2 else ["votes", "dimensional"]
    events = Stream(seed).mixed([tiny.SPECS[kind] for kind in kinds], 30)
    whole, resumed = learner(seed=seed), learner(seed=seed)
    apply(whole, events)
    for start, stop in itertools.pairwise([0, *sorted(stops), len(events)]):
        apply(resumed, events[start:stop])
        resumed = reborn(resumed)
    assert snapshot(whole) == snapshot(resumed)


def test_saving_many_times_leaks_no_memory():
    stream, online = Stream(3), learner()
    apply(online, [stream.declare(FER)])
    objects = []
    for _ in range(2):
        sizes = set()
        for _ in range(12):
            apply(online, [stream.frame(FER)])
            sizes.add(len(encode(online)))
        gc.collect()
        objects.append(len(gc.get_objects()))
        assert len(sizes) > 6, "otherwise the test shows nothing"
    assert objects[1] - objects[0] < 100


def test_the_comparison_detects_the_smallest_difference():
    events = Stream(3).mixed([FER], 20)
    one, other = learner(), learner()
    apply(one, events)
    apply(other, events)
    assert snapshot(one) == snapshot(other)
    with torch.no_grad():
        next(iter(other.worlds["fer"].learner.optimizers[0].state.values()))["exp_avg"].view(-1)[0] += 1e-7
    assert snapshot(one) != snapshot(other)


def test_the_raised_rate_after_drift_is_restored():
    settings = dataclasses.replace(QUICK, on_drift="raise-rate", detector="dummy", drift_steps=5)
    stream = Stream(4)
    events = [stream.declare(FER), *stream.frames(FER, 330)]
    whole, resumed = learner(settings), learner(settings)
    apply(whole, events)
    apply(resumed, events[:308])
    assert 0 < resumed.worlds["fer"].counts["raised_steps_left"] < 5
    resumed = reborn(resumed)
    apply(resumed, events[308:])
    assert snapshot(whole) == snapshot(resumed)


@pytest.fixture
def folder(tmp_path):
    """Checkpoints of a learner after 8, 16, 24 and 32 frames, all kept: the first and the last three."""
    stream, kept = Stream(5), Checkpoints(tmp_path / "checkpoints")
    online = learner()
    online.apply(stream.declare(FER))
    for frames in range(1, 5):
        apply(online, stream.frames(FER, 8))
        kept.save(online, {"frames": 8 * frames})
    return kept


def test_the_first_and_the_last_three_are_kept_and_the_newest_is_loaded(folder):
    assert [kept.number for kept in folder.kept()] == [1, 2, 3, 4]
    restored = folder.load(shared())
    assert (restored.notes, restored.incidents) == ({"frames": 32}, ())
    assert restored.learner.position == restored.kept.position == folder.kept()[-1].position
    assert restored.learner.n_applied == 33
    assert not [p for p in folder.folder.iterdir() if p not in [k.path for k in folder.kept()]]


def test_an_empty_folder_has_nothing_to_restore(tmp_path):
    assert Checkpoints(tmp_path / "none").load(shared()) is None


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[int(place * (len(data) - 1))] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("place", [0, 0.001, 0.5, 1])
def test_a_flipped_bit_is_detected_and_the_previous_checkpoint_is_loaded(folder, place):
    newest = folder.kept()[-1].path
    flip(newest, place)
    restored = folder.load(shared())
    assert restored.notes == {"frames": 24}
    assert len(restored.incidents) == 1
    assert newest.name in restored.incidents[0]
    assert "damaged" in restored.incidents[0]
    folder.save(restored.learner)
    assert folder.load(shared()).kept.number == 5


def test_any_flipped_bit_is_detected(folder):
    data, rng = folder.kept()[-1].path.read_bytes(), np.random.default_rng(0)
    for place in [*range(64), *rng.integers(0, len(data), 100).tolist()]:
        damaged = bytearray(data)
        damaged[place] ^= 1 << rng.integers(8)
        with pytest.raises(DamagedCheckpointError):
            decode(bytes(damaged), shared())


@pytest.mark.parametrize("size", [0, 10, 40, 1000])
def test_a_truncated_file_is_damaged(folder, size):
    path = folder.kept()[-1].path
    path.write_bytes(path.read_bytes()[:size])
    assert folder.load(shared()).notes == {"frames": 24}


def test_if_all_are_damaged_loading_fails(folder):
    for kept in folder.kept():
        flip(kept.path, 0.7)
    with pytest.raises(CiaoError, match=r"no checkpoint in .* is intact") as caught:
        folder.load(shared())
    assert "\n" not in str(caught.value)


def test_another_encoder_is_refused(folder):
    with pytest.raises(CiaoError, match=r"it uses encoder tiny .* not tiny") as caught:
        folder.load(tiny.encoder(seed=1))
    assert not isinstance(caught.value, DamagedCheckpointError)
    assert folder.kept()[-1].path.name in str(caught.value)


def test_another_format_is_refused(folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "FORMAT", b"ciao_stream/checkpoint/9\n")
        later = encode(learner())
    folder.kept()[-1].path.write_bytes(later)
    with pytest.raises(CiaoError, match=r"expected format ciao_stream/checkpoint/1 but got ciao_stream/checkpoint/9"):
        folder.load(shared())


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(CiaoError, match=r"cannot read checkpoint .*: No such file"):
        read(tmp_path / "1_0-0.checkpoint", shared())


def test_a_full_disk_leaves_the_old_checkpoints(folder, monkeypatch):
    before = {kept.path: kept.path.read_bytes() for kept in folder.kept()}
    online = folder.load(shared()).learner

    def full(path, _data):
        raise CiaoError(f"cannot write {path}: the disk is full")

    monkeypatch.setattr(checkpoint, "write_bytes", full)
    with pytest.raises(CiaoError, match="the disk is full"):
        folder.save(online)
    assert {kept.path: kept.path.read_bytes() for kept in folder.kept()} == before


def test_after_a_rollback_new_checkpoints_are_the_newest(folder):
    older = folder.kept()[1]
    online, notes = read(older.path, shared())
    assert notes == {"frames": 16}
    folder.save(online)
    assert [kept.number for kept in folder.kept()] == [1, 3, 4, 5]
    assert folder.load(shared()).learner.position == older.position


def test_at_least_one_checkpoint_must_be_kept(tmp_path):
    with pytest.raises(CiaoError, match="at least 1 checkpoint to keep but got 0"):
        Checkpoints(tmp_path, keep=0)


def test_a_restored_learner_shares_no_memory_with_the_saved_one():
    stream = Stream(6)
    online = learner()
    apply(online, stream.mixed([FER], 30))
    again = reborn(online)
    before = snapshot(again)
    apply(online, stream.frames(FER, 20))
    assert snapshot(again) == before


def test_the_helper_stream_has_every_outcome():
    events = stream_events.Stream(7).mixed([FER], 200)
    online = learner()
    outcomes = {applied.outcome for applied in apply(online, events)}
    assert outcomes == {"declared", "waiting", "learned", "corrected", "orphan"}
