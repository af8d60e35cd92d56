"""Online baselines of a stream: their predictions, and that they are restored exactly."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import linear_model, multiclass, optim, preprocessing

from ciao_stream.baselines import make_baseline
from ciao_stream.baselines.softmax import RATE
from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.runtime.plugins import plugin_names
from ciao_stream.runtime.state import State
from tests.helpers import tiny
from tests.helpers.stream_events import QUICK, Stream, apply, learner, reborn, snapshot
from tests.helpers.tiny import examples

N_FEATURES, N_CLASSES = 6, 4
RIVER = {
    "softmax": lambda: linear_model.SoftmaxRegression(optim.SGD(RATE)),
    "logistic": lambda: multiclass.OneVsRestClassifier(linear_model.LogisticRegression(optim.SGD(RATE))),
}


def faces(n, seed=0):
    """Faces of three of four classes; the index of the largest feature is the class."""
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=n)
    x = rng.normal(size=(n, N_FEATURES)).astype(np.float32)
    x[np.arange(n), y] += 3
    return x, y.tolist()


def learned(name, x, y):
    model = make_baseline(name, N_FEATURES, N_CLASSES)
    for face, label in zip(x, y, strict=True):
        model.learn(face, label)
    return model


@pytest.mark.parametrize("name", plugin_names("ciao_stream.baselines"))
def test_each_learns_and_never_predicts_a_class_without_a_sample(name):
    x, y = faces(400)
    before = make_baseline(name, N_FEATURES, N_CLASSES).outputs(x[:2])
    assert before.shape == (2, N_CLASSES)
    assert np.ptp(before) == 0
    answers = learned(name, x[:300], y[:300]).outputs(x[300:])
    assert answers.shape == (100, N_CLASSES)
    assert (answers.argmax(axis=1) == y[300:]).mean() > 0.8
    assert (answers[:, 3] < answers[:, :3].min(axis=1)).all()


@pytest.mark.parametrize("name", plugin_names("ciao_stream.baselines"))
@given(cut=st.integers(0, 60), seed=st.integers(0, 1000))
@examples(max_examples=15)
def test_a_restored_baseline_continues_bit_for_bit(name, cut, seed):
    x, y = faces(60, seed)
    whole, first = learned(name, x, y), learned(name, x[:cut], y[:cut])
    state = first.state()
    copied = State(state.values, {name: tensor.clone() for name, tensor in state.tensors.items()})
    back = make_baseline(name, N_FEATURES, N_CLASSES)
    back.load(copied)
    np.testing.assert_array_equal(back.outputs(x), first.outputs(x))
    for face, label in zip(x[cut:], y[cut:], strict=True):
        back.learn(face, label)
    np.testing.assert_array_equal(back.outputs(x), whole.outputs(x))


@pytest.mark.parametrize("name", RIVER)
def test_baselines_from_river_predict_as_in_a_river_pipeline(name):
    x, y = faces(80)
    pipeline = preprocessing.StandardScaler() | RIVER[name]()
    for face, label in zip(x, y, strict=True):
        pipeline.learn_one(dict(enumerate(face.tolist())), label)
    outputs = learned(name, x, y).outputs(x[:20])
    for row, face in zip(outputs, x[:20], strict=True):
        expected = pipeline.predict_proba_one(dict(enumerate(face.tolist())))
        assert {label: np.exp(row[label]) for label in expected} == pytest.approx(expected)


def test_an_unknown_baseline_is_refused():
    with pytest.raises(UnknownNameError, match="softmax"):
        make_baseline("sofmax", N_FEATURES, N_CLASSES)


BESIDE = dataclasses.replace(QUICK, beside="slda, softmax")
VOTES, VALUES = tiny.SPECS["votes"], tiny.SPECS["dimensional"]


def streamed(settings, spec=VOTES, n=25):
    stream, online = Stream(), learner(settings)
    events = [stream.declare(spec), *stream.frames(spec, n)]
    return online, events


def test_baselines_are_evaluated_on_the_same_frames_as_the_world_and_do_not_change_it():
    alone, events = streamed(QUICK)
    beside, _ = streamed(BESIDE)
    apply(alone, events)
    apply(beside, events)
    report = beside.report()["worlds"][VOTES.name]
    assert report.pop("beside").keys() == {"slda", "softmax"}
    assert report == alone.report()["worlds"][VOTES.name]
    figures = beside.report()["worlds"][VOTES.name]["beside"]
    assert [one["n"] for one in figures.values()] == [25, 25]
    assert all(one["rolling"]["accuracy"] > 0.5 for one in figures.values())
    assert beside.worlds[VOTES.name].world.sha256() == alone.worlds[VOTES.name].world.sha256()


@pytest.mark.parametrize("cut", [1, 6, 20])
def test_a_restored_learner_with_baselines_continues_bit_for_bit(cut):
    whole, events = streamed(BESIDE)
    apply(whole, events)
    first, _ = streamed(BESIDE)
    apply(first, events[:cut])
    back = reborn(first)
    apply(back, events[cut:])
    assert snapshot(back) == snapshot(whole)


def test_baselines_get_new_classes_too():
    online, events = streamed(BESIDE)
    apply(online, events)
    grown = dataclasses.replace(VOTES, labels=(*VOTES.labels, "new"))
    stream = Stream(1)
    stream.n = 100
    apply(online, [stream.declare(grown), *stream.frames(grown, 12)])
    assert online.report()["worlds"][VOTES.name]["beside"]["slda"]["n"] == 37


def test_a_world_without_classes_has_no_baselines():
    online, events = streamed(BESIDE, VALUES, 3)
    apply(online, events)
    assert "beside" not in online.report()["worlds"][VALUES.name]


def test_forgetting_faces_leaves_no_face_in_a_baseline():
    online, events = streamed(BESIDE, n=5)
    apply(online, events)
    waiting = [name for name in online.to_state().tensors if name.endswith("learner-slda/waiting")]
    assert len(online.to_state().tensors[waiting[0]]) == 5
    online.forget_faces()
    assert len(online.to_state().tensors[waiting[0]]) == 0


def test_a_baseline_that_does_not_exist_is_refused():
    with pytest.raises(CiaoError, match="beside: expected some of logistic, slda, softmax but got 'lda'"):
        dataclasses.replace(QUICK, beside="lda")
