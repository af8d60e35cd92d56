"""Labels by name and targets by index, for every kind."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ciao_stream.faces.dataset import FaceDataset
from ciao_stream.stream.log.labels import label_target, target_label
from ciao_stream.stream.log.refusals import BadMessage
from tests.helpers import tiny
from tests.helpers.stream_messages import FER, MULTI, TASKS, VA, VOTES


@pytest.mark.parametrize(
    ("spec", "label", "target"),
    [
        (FER, "neutral", np.array(2)),
        (VOTES, {"anger": 3, "neutral": 1}, np.array([0.75, 0, 0.25], dtype=np.float32)),
        (VOTES, {"fear": 0.25, "anger": 0.75}, np.array([0.75, 0.25, 0], dtype=np.float32)),
        (VOTES, {"anger": 0.7, "fear": 0.30005}, np.array([0.7, 0.30005, 0], dtype=np.float32)),
        (VA, {"valence": -1, "arousal": 0.5}, np.array([0.5, -1], dtype=np.float32)),
        (MULTI, ["happiness", "curiosity"], np.array([1, 0, 1], dtype=np.float32)),
        (MULTI, [], np.zeros(3, dtype=np.float32)),
    ],
    ids=str,
)
def test_a_label_becomes_the_target_of_its_kind(spec, label, target):
    got = label_target(spec, label)
    assert got.dtype == target.dtype
    np.testing.assert_array_equal(got, target)


@pytest.mark.parametrize("spec", TASKS.values(), ids=str)
def test_targets_are_rows_of_the_kinds_layout(spec):
    labels = {
        "fer": ["anger", "fear"],
        "ferplus": [{"anger": 2, "fear": 1}, {"neutral": 7}],
        "va": [{"arousal": 0, "valence": 1}] * 2,
        "emoreact": [["fear"], []],
    }[spec.name]
    targets = np.stack([label_target(spec, label) for label in labels])
    FaceDataset(spec, "train", tiny.pictures(2), np.arange(2), targets, "synthetic")


@pytest.mark.parametrize(
    ("spec", "label", "reason", "text"),
    [
        (FER, "angry", "bad_label", r"no label 'angry': did you mean 'anger'\? \(its labels: anger, fear, neutral\)"),
        (FER, "", "bad_label", "no label ''"),
        (FER, {"anger": 1.0}, "wrong_kind", "categorical: expected the name of one class but got dict"),
        (FER, ["anger"], "wrong_kind", "got list"),
        (FER, 1, "wrong_kind", "got int 1"),
        (FER, None, "wrong_kind", "got NoneType"),
        (VOTES, "anger", "wrong_kind", "expected votes by class"),
        (VOTES, {}, "bad_label", "at least one vote"),
        (VOTES, {"anger": 0}, "bad_label", "at least one vote"),
        (VOTES, {"anger": -1, "fear": 2}, "bad_label", "a number >= 0 but got -1"),
        (VOTES, {"anger": math.nan}, "bad_label", "got nan"),
        (VOTES, {"anger": math.inf}, "bad_label", "got inf"),
        (VOTES, {"anger": True}, "wrong_kind", "bool"),
        (VOTES, {"anger": "1"}, "wrong_kind", "str"),
        (VOTES, {"happy": 1}, "bad_label", "no label 'happy'"),
        (VA, {"arousal": 0.1}, "bad_label", "no value for valence"),
        (VA, {"arousal": 1.01, "valence": 0}, "bad_label", r"'arousal': expected a value in \[-1, 1\] but got 1.01"),
        (VA, {"arousal": math.nan, "valence": 0}, "bad_label", "got nan"),
        (VA, [0.1, 0.2], "wrong_kind", "a value by dimension but got list"),
        (MULTI, "fear", "wrong_kind", "a list of the labels"),
        (MULTI, {"fear": 1}, "wrong_kind", "dict"),
        (MULTI, ["fear", "fear"], "bad_label", "twice"),
        (MULTI, ["hapiness"], "bad_label", "did you mean 'happiness'"),
        (MULTI, [3], "wrong_kind", "int 3"),
    ],
    ids=str,
)
def test_a_label_that_does_not_fit_is_refused(spec, label, reason, text):
    with pytest.raises(BadMessage, match=text) as refusal:
        label_target(spec, label)
    assert refusal.value.reason == reason


def targets(spec):
    if spec.kind == "categorical":
        return st.integers(0, spec.n_out - 1).map(np.array)
    if spec.kind == "multilabel":
        return arrays.arrays(np.float32, spec.n_out, elements=st.sampled_from([0.0, 1.0]))
    if spec.kind == "dimensional":
        return arrays.arrays(np.float32, spec.n_out, elements=st.floats(-1, 1, width=32))
    votes = arrays.arrays(np.int64, spec.n_out, elements=st.integers(0, 10)).filter(np.any)
    return votes.map(lambda counts: (counts / counts.sum()).astype(np.float32))


@given(st.data(), st.sampled_from(list(TASKS.values())))
def test_a_target_survives_the_round_trip_to_the_bit(data, spec):
    target = data.draw(targets(spec))
    back = label_target(spec, target_label(spec, target))
    assert back.tobytes() == target.tobytes()
